"""Narration files (.srt, .vtt, .json, .csv) to lines with times.

Conventions
-----------
- A line is (start_seconds, end_seconds, text), seconds from the start of the video, sorted by start, then end.
- `.srt` and `.vtt` are read by pysubs2; markup is dropped and line breaks become spaces.
- `.json` is HowTo100M's form, {"start": [...], "end": [...], "text": [...]}, or a list of {"start", "end", "text"}.
- `.csv` has the columns start,end,text (the form of HowTo100M's per-video captions).
- Lines without text are dropped. A file that yields no line although it has content does not parse: an error.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pysubs2

from mcn.errors import VideoError


class Line(NamedTuple):
    """One narration line, times in seconds."""

    start_seconds: float
    end_seconds: float
    text: str


def _subtitles(text: str, suffix: str) -> Iterable[Line]:
    for event in pysubs2.SSAFile.from_string(text, format_=suffix.lstrip(".")):
        yield Line(event.start / 1000, event.end / 1000, event.plaintext)


def _json(text: str, suffix: str) -> Iterable[Line]:
    value: Any = json.loads(text)
    if isinstance(value, dict):
        columns = [value["start"], value["end"], value["text"]]
        value = [{"start": s, "end": e, "text": t} for s, e, t in zip(*columns, strict=True)]
    for line in value:
        yield Line(float(line["start"]), float(line["end"]), str(line["text"]))


def _csv(text: str, suffix: str) -> Iterable[Line]:
    for row in csv.DictReader(io.StringIO(text)):
        yield Line(float(row["start"]), float(row["end"]), row["text"])


READERS = {".srt": _subtitles, ".vtt": _subtitles, ".json": _json, ".csv": _csv}


def read_narration(path: Path) -> list[Line]:
    """Read the lines of one narration file in order of time; an empty file has none.

    Errors: `VideoError` with code `narration_unreadable` (unknown suffix, bad syntax, not UTF-8, negative or
    unordered times) or `not_found`.
    """
    suffix = path.suffix.lower()
    if suffix not in READERS:
        known = ", ".join(READERS)
        raise VideoError("narration_unreadable", f"{path}: suffix {path.suffix!r}, known: {known}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise VideoError("not_found", f"no narration file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise VideoError("narration_unreadable", f"{path}: {error}") from error
    try:
        found = READERS[suffix](text, suffix)
        lines = [line._replace(text=" ".join(line.text.split())) for line in found]
    except Exception as error:  # whatever a parser raises on a malformed file
        reason = f"{path}: {type(error).__name__}: {error}"
        raise VideoError("narration_unreadable", reason) from error
    if text.strip() and not lines and text.strip() != "WEBVTT":
        raise VideoError("narration_unreadable", f"{path}: not a single line in it")
    for line in lines:
        finite = math.isfinite(line.start_seconds) and math.isfinite(line.end_seconds)
        if not finite or not 0 <= line.start_seconds <= line.end_seconds:
            times = f"{line.start_seconds} to {line.end_seconds} s"
            raise VideoError("narration_unreadable", f"{path}: a line from {times}")
    return sorted(line for line in lines if line.text)
