"""Texts and CSV files of published data sets: read strictly, with the file and the line of whatever is wrong.

Conventions
-----------
- Texts are UTF-8, with or without a byte order mark and with any line ends; blank lines are skipped.
- A file in the wrong format is a `UserError` that names file and line. Whether a row of the right format is of use is
  for the adapters to say.
- Videos lie anywhere below a folder and are named by id, with one of `SUFFIXES`. Where several files have one id, the
  suffix that comes first in `SUFFIXES` counts, then the path that comes first in order.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from mcn.errors import UserError
from mcn.files import CsvWriter, atomic_path
from mcn.media.lines import require_lines, require_size
from mcn.sources.first_bytes import what_it_is
from mcn.sources.manifest import SAFE_ID

SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".m4v")
GET_AGAIN = "get the official file again"


def wrong(path: Path, line: int, got: str, wanted: str) -> UserError:
    """The error for a file in the wrong format."""
    return UserError(f"{path}, line {line}: {got}", wanted, GET_AGAIN)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """Open the text of an official file; `UserError` where it cannot be read as UTF-8, or is no text."""
    kind = what_it_is(path)
    if kind and kind != "empty":
        raise UserError(f"{path}, which is {kind}", "a text file in UTF-8", GET_AGAIN)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            yield file
    except json.JSONDecodeError:
        raise
    except (OSError, ValueError, csv.Error) as error:  # among them those of UTF-8
        raise UserError(f"{path}: {error}", "a text file in UTF-8", GET_AGAIN) from error


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, text) of the lines that are not blank; blanks at both ends are stripped."""
    with opened(path) as file:
        require_lines(path)
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line.strip()


def ends_within_a_line(path: Path) -> bool:
    """Whether a file has bytes behind its last line end, as a list that was cut has; the official lists have none."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) not in b"\r\n"


def csv_lines(path: Path, columns: Sequence[str], header: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells of `columns` in that order) for the rows of a CSV file.

    header: whether the first row names the columns, in any order and perhaps with others; without it, `columns` are the
    first ones of every row. Errors: `UserError` for a file or row without these columns.
    """
    wanted = f"the columns {','.join(columns)}"
    places = None if header else list(range(len(columns)))
    with opened(path) as file:
        require_lines(path)
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


@contextlib.contextmanager
def csv_file(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    """Yield a writer of the rows of a CSV file, whose header is written; the file appears when all is written."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = CsvWriter(file)
        writer.writerow(columns)
        yield writer


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a whole CSV file atomically."""
    with csv_file(path, columns) as writer:
        writer.writerows(rows)


def number(path: Path, line: int, name: str, text: str) -> float:
    """The finite number that a cell holds; `UserError` where it holds something else."""
    with contextlib.suppress(ValueError):
        value = float(text)
        if math.isfinite(value):
            return value
    raise wrong(path, line, f"{name} {text!r}", "a number")


def identifier(path: Path, line: int, text: str) -> str:
    """`text`, a video id that is safe as a name; `UserError` where it is not."""
    if not SAFE_ID.fullmatch(text):
        raise wrong(path, line, f"video id {text!r}", "letters, digits, _ - . as YouTube has them")
    return text


def read_json(path: Path) -> Any:
    """The value of a JSON file that fits into memory; `UserError` with the line where it is no JSON."""
    try:
        with opened(path) as file:
            require_size(path)
            return json.load(file)
    except json.JSONDecodeError as error:
        raise wrong(path, error.lineno, error.msg, "JSON") from error
    except RecursionError as error:
        raise wrong(path, 1, "brackets within brackets without end", "JSON") from error


def find_videos(folder: Path) -> dict[str, str]:
    """Find the videos below a folder: video id -> path of its file, relative to `folder`."""
    best: dict[str, tuple[int, str]] = {}
    for place, _, names in os.walk(folder, followlinks=True):
        below = "" if place == str(folder) else f"{os.path.relpath(place, folder)}/"
        for name in names:
            stem, dot, suffix = name.rpartition(".")
            if stem and f"{dot}{suffix}".lower() in SUFFIXES:
                rank = SUFFIXES.index(f"{dot}{suffix}".lower()), f"{below}{name}"
                best[stem] = min(best.get(stem, rank), rank)
    return {video_id: path for video_id, (_, path) in best.items()}
