"""Official files of published data sets: read strictly, with the file and the line of whatever is wrong.

Conventions
-----------
- UTF-8 with or without a byte order mark, any line ends, blank lines skipped.
- A file in the wrong format is a `UserError` that names file and line. Whether a well-formed row is of use is for the
  adapters to say.
- Videos lie anywhere below a folder, named by id with one of `SUFFIXES`; of several files of one id the suffix that
  comes first counts, then the path.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from mcn.errors import UserError
from mcn.sources.manifest import SAFE_ID

SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".m4v")
GET_AGAIN = "get the official file again"


def wrong(path: Path, line: int, got: str, wanted: str) -> UserError:
    """A file in the wrong format."""
    return UserError(f"{path}, line {line}: {got}", wanted, GET_AGAIN)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """The text of an official file; `UserError` where it cannot be read as UTF-8."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            yield file
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: {error}", "a text file in UTF-8", GET_AGAIN) from error


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not blank, stripped."""
    with opened(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line.strip()


def csv_lines(path: Path, columns: Sequence[str], header: bool) -> Iterator[tuple[int, list[str]]]:
    """Numbered rows of a CSV: the cells of `columns`, in that order.

    header: the first row names the columns, in any order and with others; otherwise they are the first ones of a row.
    """
    wanted = f"the columns {','.join(columns)}"
    places = None if header else list(range(len(columns)))
    with opened(path) as file:
        reader = csv.reader(file)
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if places is None:
                absent = [name for name in columns if name not in cells]
                if absent:
                    raise wrong(path, reader.line_num, f"no column {', '.join(absent)}", wanted)
                places = [cells.index(name) for name in columns]
            elif len(cells) <= max(places):
                raise wrong(path, reader.line_num, f"{len(cells)} cells", wanted)
            else:
                yield reader.line_num, [cells[place] for place in places]
    if places is None:
        raise wrong(path, 1, "an empty file", wanted)


def number(path: Path, line: int, name: str, text: str) -> float:
    """A finite number of a cell."""
    with contextlib.suppress(ValueError):
        value = float(text)
        if math.isfinite(value):
            return value
    raise wrong(path, line, f"{name} {text!r}", "a number")


def identifier(path: Path, line: int, text: str) -> str:
    """A video id that is safe as a name."""
    if not SAFE_ID.fullmatch(text):
        raise wrong(path, line, f"video id {text!r}", "letters, digits, _ - . as YouTube has them")
    return text


def read_json(path: Path) -> Any:
    """A JSON file that fits into memory."""
    try:
        with opened(path) as file:
            return json.load(file)
    except json.JSONDecodeError as error:
        raise wrong(path, error.lineno, error.msg, "JSON") from error


def find_videos(folder: Path) -> dict[str, str]:
    """Video id -> path of its file relative to `folder`."""
    best: dict[str, tuple[int, str]] = {}
    for place, _, names in os.walk(folder, followlinks=True):
        below = "" if place == str(folder) else f"{os.path.relpath(place, folder)}/"
        for name in names:
            stem, dot, suffix = name.rpartition(".")
            if stem and f"{dot}{suffix}".lower() in SUFFIXES:
                rank = SUFFIXES.index(f"{dot}{suffix}".lower()), f"{below}{name}"
                best[stem] = min(best.get(stem, rank), rank)
    return {video_id: path for video_id, (_, path) in best.items()}
