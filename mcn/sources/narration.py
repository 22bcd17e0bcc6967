"""Narration files (.srt, .vtt, .json, .csv) to lines with times.

Conventions
-----------
- A line is (start_seconds, end_seconds, text), seconds from the start of the video, sorted by start, then end.
- `.srt` and `.vtt` are read by `mcn.sources.cues`; markup is dropped and line breaks become spaces.
- `.json` is HowTo100M's form, {"start": [...], "end": [...], "text": [...]}, or a list of {"start", "end", "text"};
  a text that is `null` is none.
- `.csv` has the columns start,end,text (the form of HowTo100M's per-video captions). Commas in a text need no quotes
  where the text is the last column.
- Files are UTF-8, or UTF-16 or UTF-32 with their byte order mark; UTF-16 is known without one by its zero bytes. Bytes
  of another encoding are an error: which of the many it is cannot be told for sure.
- Lines without text are dropped. A file that yields no line although it has content does not parse: an error.
- Only files are read, no pipes and devices, and no more than `LARGEST_FILE` bytes.
- The narration tables keep the videos whose narration cannot be read, with the reason, under `UNREAD` of their
  metadata: the text features of these videos fail under that code, and all their other features are made.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mcn.errors import DamagedShard, VideoError
from mcn.files import canonical_json
from mcn.sources.cues import read_cues

LARGEST_FILE = 32 << 20  # bytes; a day of YouTube's captions, with a time for each word, takes less
UNREAD = b"unread"  # metadata of narration tables: JSON, video_id -> "code: words"

_COLUMNS = ("start", "end", "text")
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Line(NamedTuple):
    """One narration line, times in seconds."""

    start_seconds: float
    end_seconds: float
    text: str


def _subtitles(text: str, suffix: str) -> Iterable[Line]:
    for cue in read_cues(text, suffix):
        yield Line(cue.start, cue.end, " ".join(cue.lines))


def _json(text: str, suffix: str) -> Iterable[Line]:
    value: Any = json.loads(text)
    if isinstance(value, dict):
        columns = [value["start"], value["end"], value["text"]]
        value = [{"start": s, "end": e, "text": t} for s, e, t in zip(*columns, strict=True)]
    for number, line in enumerate(value, start=1):
        said = "" if line["text"] is None else line["text"]
        if not isinstance(said, str):
            raise ValueError(f"line {number}: the text is {str(said)[:40]}, wanted a string")
        yield Line(float(line["start"]), float(line["end"]), said)


def _csv(text: str, suffix: str) -> Iterable[Line]:
    reader = csv.reader(io.StringIO(text, newline=""))
    header = next(reader, [])
    if lacking := [name for name in _COLUMNS if header.count(name) != 1]:
        raise ValueError(f"the header {header} does not have one column {lacking[0]}")
    start, end, said = (header.index(name) for name in _COLUMNS)
    for row in reader:
        if not row:
            continue
        if len(row) < len(header) or (len(row) > len(header) and said != len(header) - 1):
            cells = f"{len(row)} cells, the header has {len(header)}"
            raise ValueError(f"line {reader.line_num} has {cells}")
        words = ",".join(row[said:]) if said == len(header) - 1 else row[said]
        yield Line(float(row[start]), float(row[end]), words)


READERS = {".srt": _subtitles, ".vtt": _subtitles, ".json": _json, ".csv": _csv}


def read_narration(path: Path) -> list[Line]:
    """Read the lines of one narration file in order of time; an empty file has none.

    Errors: `VideoError` with code `narration_unreadable` (unknown suffix, bad syntax or encoding, negative or
    unordered times, no plain file, too large) or `not_found`.
    """
    suffix = path.suffix.lower()
    if suffix not in READERS:
        known = ", ".join(READERS)
        raise VideoError("narration_unreadable", f"{path}: suffix {path.suffix!r}, known: {known}")
    try:
        text = _decoded(_bytes_of(path))
        lines = [
            line._replace(text=" ".join(line.text.split()))
            for line in READERS[suffix](text, suffix)
        ]
        _require_usable(text, lines)
    except FileNotFoundError:
        raise VideoError("not_found", f"no narration file {path}") from None
    except Exception as error:  # whatever a parser raises on a malformed file
        reason = f"{type(error).__name__}: {error}"
        raise VideoError("narration_unreadable", f"{path}: {reason}") from error
    return sorted(line for line in lines if line.text)


def _bytes_of(path: Path) -> bytes:
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # a pipe would block
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("a folder, pipe or device, no file")
        content = file.read(LARGEST_FILE + 1) if status.st_size <= LARGEST_FILE else b""
        if max(status.st_size, len(content)) > LARGEST_FILE:
            raise ValueError(f"more than {LARGEST_FILE} bytes, too large for a narration")
        return content


def _decoded(content: bytes) -> str:
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in content:
        # most characters of a subtitle are below 256, so that every other byte is zero
        encoding = "utf-16-le" if content[1::2].count(0) > content[::2].count(0) else "utf-16-be"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        cure = "save it as UTF-8 (iconv -f ISO-8859-1 -t UTF-8, if that is what it is)"
        raise ValueError(f"{error}; {cure}") from error


def _require_usable(text: str, lines: list[Line]) -> None:
    if text.strip() and not lines and text.strip() != "WEBVTT":
        raise ValueError("not a single line in it")
    for line in lines:
        finite = math.isfinite(line.start_seconds) and math.isfinite(line.end_seconds)
        if not finite or not 0 <= line.start_seconds <= line.end_seconds:
            raise ValueError(f"a line from {line.start_seconds} to {line.end_seconds} s")
        line.text.encode()  # half a surrogate pair is no character


def unread_metadata(unread: Mapping[str, str]) -> dict[bytes, bytes]:
    """Metadata of a narration table for the videos whose narration cannot be read; empty where there are none."""
    return {UNREAD: canonical_json(dict(unread)).encode()} if unread else {}


def unread_of(table: Path) -> dict[str, str]:
    """The videos of a narration table whose narration cannot be read -> `code: words`.

    A table that is no such table raises `DamagedShard`; reading its columns compares the digest of this, too.
    """
    try:
        found = pq.read_metadata(table).metadata or {}
        return dict(json.loads(found.get(UNREAD, b"{}")))
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise DamagedShard(table, str(error)) from error
