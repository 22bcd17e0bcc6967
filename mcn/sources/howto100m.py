"""HowTo100M: 1.2 million narrated how-to videos; the set to train on.

Conventions
-----------
- Videos: HowTo100M_v1.csv (column video_id), or HowTo100M_*_videopaths.txt, one column `path` such as
  `hobbies_and_crafts/video_8/8N4mGHodjss`, whose last part is the id and whose leading `None/` means nothing.
- Captions: {video id: {"start": [...], "end": [...], "text": [...]}} as one JSON file (caption.json: without stop
  words; raw_caption.json: all words) or as a pickle (lists, arrays or pandas tables), or a folder of ID.csv
  (start,end,text).
- Narration goes straight into one table, narration.parquet, in the order of the captions file, the lines of a video in
  order of time. Nothing holds more than the list of videos and a batch of lines: JSON of any length takes less than
  2 GiB.
- A line without words is left out, as is one whose times are not 0 <= start <= end. Captions of videos that the list
  does not have are left out. A video without captions stays, without narration.

Source: antoine77340/howto100m README.md and loaders; the README of HowTo100M.zip; roudimit/AVLnet training.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mcn.errors import UserError, VideoError
from mcn.files import stream_table
from mcn.options.official import OfficialOptions
from mcn.sources.account import Account
from mcn.sources.catalogue import HOWTO100M_CAPTIONS, found
from mcn.sources.json_members import json_members
from mcn.sources.narration import read_narration
from mcn.sources.reading import GET_AGAIN, csv_lines, identifier
from mcn.sources.tables import NARRATION

LINES_A_BATCH = 200_000
Captions = Callable[[str, Any], None]


def read(options: OfficialOptions, account: Account) -> None:
    """Write manifest.csv and narration.parquet."""
    path = options.file(0)
    expected: dict[str, str] = {}
    for line, video_id, place in _videos(path):
        if video_id in expected:
            account.leave_out(path, line, video_id, "a video that is listed twice")
        else:
            expected[video_id] = place
    account.write_manifest((video_id, "train", place) for video_id, place in expected.items())
    account.count("videos", len(expected), note="the home page says 1.2 million")
    source = _captions_file(options)
    with stream_table(account.output / "narration.parquet", NARRATION) as writer:
        narration = _Narration(expected, source, account, writer)
        _give(source, narration)
        narration.flush()
    account.count("videos with captions", len(narration.seen))
    account.count("lines", narration.lines, note="the home page says 136 million")


def _videos(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, video id, path below `videos` without suffix) of every listed video."""
    column = "path" if path.name.endswith("_videopaths.txt") else "video_id"
    for line, (text,) in csv_lines(path, (column,), header=True):
        place = text.removeprefix("None/") if column == "path" else ""
        yield line, identifier(path, line, (place or text).rpartition("/")[2]), place


def _captions_file(options: OfficialOptions) -> Path:
    """The captions that were asked for, or the only ones there are."""
    there = found(options.folder, options.selection.needs[1])
    if len(there) > 1:
        raise UserError(
            f"{', '.join(path.name for path in there)} in {options.folder}",
            f"one of {', '.join(HOWTO100M_CAPTIONS)}, or a choice",
            "set `official.captions` to the one that is meant",
        )
    return there[0]


def _give(source: Path, captions: Captions) -> None:
    """Call `captions(video id, value)` for everything in the source."""
    if source.is_dir():
        for path in sorted(source.glob("*.csv")):
            captions(path.stem, path)
    elif source.suffix == ".pickle":
        from mcn.published.unpickle import stream

        stream(source, lambda pair: captions(*pair))
    else:
        for video_id, value in json_members(source):
            captions(video_id, value)


class _Narration:
    """Takes the captions of one video after the other and writes their lines in batches."""

    def __init__(
        self, videos: dict[str, str], source: Path, account: Account, writer: pq.ParquetWriter
    ) -> None:
        self.videos, self.source, self.account, self.writer = videos, source, account, writer
        self.seen: set[str] = set()
        self.lines = 0
        self._columns: list[list[Any]] = [[] for _ in NARRATION.names]

    def __call__(self, video_id: str, value: Any) -> None:
        if video_id not in self.videos:
            self._leave_out(video_id, "captions of a video that is not listed")
        elif video_id in self.seen:
            self._leave_out(video_id, "captions of a video that has captions already")
        else:
            self.seen.add(video_id)
            self._add(video_id, self._usable(video_id, *self._values(video_id, value)))

    def flush(self) -> None:
        """Write the lines that are waiting."""
        table = pa.table([pa.array(column) for column in self._columns], schema=NARRATION)
        self.writer.write_table(table)
        self.lines += table.num_rows
        self._columns = [[] for _ in NARRATION.names]

    def _leave_out(self, item: str, reason: str) -> None:
        self.account.leave_out(self.source, None, item, reason)

    def _values(
        self, video_id: str, value: Any
    ) -> tuple[Sequence[float], Sequence[float], Sequence[Any]]:
        """Starts, ends and texts of one video."""
        if isinstance(value, Path):
            try:
                lines = read_narration(value)
            except VideoError as error:
                self.account.leave_out(value, None, video_id, f"captions: {error.code}")
                lines = []
            return tuple(zip(*lines, strict=True)) or ((), (), ())  # type: ignore[return-value]
        try:
            start, end = ([float(time) for time in value[name]] for name in ("start", "end"))
            text = list(value["text"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._wrong(video_id, f"{type(error).__name__}: {error}") from error
        if not len(start) == len(end) == len(text):
            raise self._wrong(video_id, f"{len(start)}, {len(end)} and {len(text)} values")
        return start, end, text

    def _wrong(self, video_id: str, got: str) -> UserError:
        wanted = "start, end and text, of one length"
        return UserError(f"{self.source}, video {video_id}: {got}", wanted, GET_AGAIN)

    def _usable(
        self, video_id: str, starts: Sequence[float], ends: Sequence[float], texts: Sequence[Any]
    ) -> list[tuple[float, float, str]]:
        """Lines with words and with times in order."""
        lines = []
        for start, end, text in zip(starts, ends, texts, strict=True):
            words = " ".join(text.split()) if isinstance(text, str) else ""
            if not words:
                self._leave_out(video_id, "a line without words")
            elif not 0 <= start <= end < math.inf:
                self._leave_out(video_id, "a line whose times are not in order")
            else:
                lines.append((start, end, words))
        return sorted(lines)

    def _add(self, video_id: str, lines: list[tuple[float, float, str]]) -> None:
        if not lines:
            return
        self._columns[0] += [video_id] * len(lines)
        for column, values in zip(self._columns[1:], zip(*lines, strict=True), strict=True):
            column += values
        if len(self._columns[0]) >= LINES_A_BATCH:
            self.flush()
