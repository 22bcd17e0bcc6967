"""Videos that a model is trained on and scored on: found by id and by content, listed, and left out on request.

Conventions
-----------
- Two videos are the same by `id` where their ids agree, and by `content` where their files have one sha256: that which
  decoding noted, or which a manifest gives. Features that others extracted have ids alone.
- Clips of published files are videos whose ids begin with the eleven letters of their video's: of such a set the first
  eleven letters count, on both sides (`retrieval.full_video_by: youtube_id`).
- leaks.csv of a training set has a row for each pair, sorted: video_id, the set that it is scored in, the video there,
  and by what it was found; `content` only where the ids differ.
"""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mcn.errors import UserError
from mcn.files import csv_text, read_table, write_text
from mcn.layout import Dataset
from mcn.sources.outside import noted_contents

log = logging.getLogger(__name__)

YOUTUBE_LETTERS = 11


class Leak(NamedTuple):
    """A video of a training set that is video `other_id` of the scored set `dataset`; by: `id` or `content`."""

    video_id: str
    dataset: str
    other_id: str
    by: str


def find_leaks(
    training: Dataset, scored: Sequence[Dataset], of_clips: Collection[str] = ()
) -> list[Leak]:
    """Every video of the training set that stands in a scored set; of_clips: names of the sets of published clips."""
    found: list[Leak] = []
    own = _videos(training)
    for dataset in scored:
        joined = bool({training.name, dataset.name} & set(of_clips))
        letters = YOUTUBE_LETTERS if joined else None
        others = own if dataset.root == training.root else _videos(dataset)
        by_id: dict[str, list[str]] = {}
        by_content: dict[str, list[str]] = {}
        for video_id, sha256 in others.items():
            by_id.setdefault(video_id[:letters], []).append(video_id)
            if sha256:
                by_content.setdefault(sha256, []).append(video_id)
        for video_id, sha256 in own.items():
            same = by_id.get(video_id[:letters], [])
            found += [Leak(video_id, dataset.name, other, "id") for other in same]
            alike = by_content.get(sha256, []) if sha256 else []
            found += [
                Leak(video_id, dataset.name, other, "content")
                for other in alike
                if other not in same
            ]
    return sorted(found)


def _videos(dataset: Dataset) -> dict[str, str]:
    """Video -> the sha256 of its file, '' where nobody noted it."""
    table = read_table(dataset.table("videos"), ["video_id", "sha256"])
    given = zip(table["video_id"].to_pylist(), table["sha256"].to_pylist(), strict=True)
    videos = {video_id: sha256 or "" for video_id, sha256 in given}
    for shard in range(dataset.shards):
        noted = noted_contents(dataset.shard_list(shard))
        videos |= {video_id: sha256 for video_id, sha256 in noted.items() if video_id in videos}
    return videos


def write_leaks(path: Path, leaks: Sequence[Leak]) -> None:
    """Write leaks.csv, and say in the log how many there are."""
    write_text(path, csv_text([Leak._fields, *leaks]))
    for dataset, count in counted(leaks).items():
        log.warning("%d videos are also in %s, which is scored: %s", count, dataset, path)


def read_leaks(path: Path) -> list[Leak]:
    """The rows of leaks.csv; `UserError` for another file."""
    return list(_rows(path))


def _rows(path: Path) -> Iterator[Leak]:
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        if tuple(next(reader, ())) != Leak._fields:
            wanted = f"the columns {','.join(Leak._fields)}"
            raise UserError(f"{path}: another file", wanted, "make it again: mcn leaks")
        yield from (Leak(*row) for row in reader)


def counted(leaks: Sequence[Leak]) -> Mapping[str, int]:
    """Scored set -> how many videos of the training set stand in it."""
    return Counter(dataset for dataset, _ in {(one.dataset, one.video_id) for one in leaks})
