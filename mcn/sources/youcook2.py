"""YouCook2: cooking videos, each cut into captioned segments; a retrieval set.

Conventions
-----------
- `validation_clips`: validation_youcook.csv (header end,start,task,text,video_id; seconds), the 3,350 clips that
  zero-shot retrieval is measured on: all segments of 436 of the validation videos.
- `validation`, `training`: the subsets of youcookii_annotations_trainval.json, {"database": {video id: {"subset",
  "annotations": [{"segment": [start, end], "id", "sentence"}]}}}.
- A clip id is the video id, "_", and the clip's place in its video in order of time, from 0: the same clip has the same
  id in both files. Captions that several clips share stay: 77 of the 3,350 occur more than once.

Source: MIL-NCE_HowTo100M csv/validation_youcook.csv and the annotations as released, both parsed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mcn.errors import UserError
from mcn.options.official import OfficialOptions
from mcn.sources.account import Account, write_csv
from mcn.sources.reading import csv_lines, identifier, number, read_json
from mcn.sources.tables import CAPTIONS

PUBLISHED = {  # clips, videos
    "validation_clips": (3_350, 436),
    "validation": (3_492, 457),
    "training": (10_337, 1_333),
}


class Segment(NamedTuple):
    """A captioned stretch of a video; `line` of the CSV, None in the JSON."""

    video_id: str
    start: float
    end: float
    caption: str
    line: int | None


def read(options: OfficialOptions, account: Account) -> None:
    """Write manifest.csv and captions.csv."""
    path = options.file(0)
    split = options.split_name
    segments = _from_csv(path) if split == "validation_clips" else _from_json(path, split)
    videos: dict[str, list[Segment]] = {}
    for segment in segments:
        kept = videos.setdefault(segment.video_id, [])
        reason = _useless(segment)
        if reason:
            item = f"{segment.video_id} {segment.start} to {segment.end} s"
            account.leave_out(path, segment.line, item, reason)
        else:
            kept.append(segment)
    rows = [
        (f"{video_id}_{place:02d}", video_id, segment.start, segment.end, segment.caption)
        for video_id, found in videos.items()
        for place, segment in enumerate(sorted(found, key=lambda segment: segment[1:3]))
    ]
    write_csv(account.output / "captions.csv", CAPTIONS.names, rows)
    subset = "training" if split == "training" else "validation"
    account.write_manifest((video_id, subset, "") for video_id in videos)
    clips, published_videos = PUBLISHED[split]
    account.count("clips", len(rows), clips)
    account.count("videos", len(videos), published_videos)
    account.count("distinct captions", len({row[-1] for row in rows}), _distinct(split))


def _distinct(split: str) -> int | None:
    return 3_273 if split == "validation_clips" else None


def _useless(segment: Segment) -> str:
    if not 0 <= segment.start < segment.end:
        return "a clip that ends before it begins"
    return "" if segment.caption else "a clip without a caption"


def _from_csv(path: Path) -> Iterator[Segment]:
    columns = ("video_id", "start", "end", "text")
    for line, (video_id, start, end, text) in csv_lines(path, columns, header=True):
        times = number(path, line, "start", start), number(path, line, "end", end)
        yield Segment(identifier(path, line, video_id), *times, " ".join(text.split()), line)


def _from_json(path: Path, subset: str) -> Iterator[Segment]:
    try:
        for video_id, video in read_json(path)["database"].items():
            if video["subset"] != subset:
                continue
            for annotation in video["annotations"]:
                start, end = map(float, annotation["segment"])
                caption = " ".join(str(annotation["sentence"]).split())
                yield Segment(identifier(path, 1, video_id), start, end, caption, None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        got = f"{path}: {type(error).__name__}: {error}"
        wanted = '{"database": {video id: {"subset", "annotations": [{"segment", "sentence"}]}}}'
        raise UserError(got, wanted, "get the official file again") from error
