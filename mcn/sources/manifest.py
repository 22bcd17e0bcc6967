"""The manifest: which videos a data set has.

Conventions
-----------
- CSV with a header, or parquet. Cells are separated by commas, or by semicolons or tabs where the header has no comma;
  UTF-8, or UTF-16 with its byte order mark; any line ends. Empty lines count, but mean nothing. A row with more or
  fewer cells than the header is an error.
- Columns: `video_id`, `path` (alias `video_path`) and optionally `narration`, `split`, `sha256`, `title`, `language`.
  Other columns are refused by name, the nearest known one being suggested. In parquet they are text; ids may be
  integers.
- A video with narration in several languages has a file for each of them: `talk.en.srt|talk.de.srt`, and
  `language` may say which, in the same order: `en|de`. Where it is empty, the file's name says it, or the text
  (`mcn.sources.languages`). Languages are codes as `en` or `pt-BR`, of which the first part counts.
- Paths are relative to the manifest's folder; `path` may be an address (`mcn.media.address`). Bytes that are
  not UTF-8 are kept as `\\xNN`: such a file is not found.
- Ids are unique and safe as names: 1 to 128 letters, digits, `_`, `-` and `.`, the first of which is not `.`. Every
  YouTube id is safe, also those that start with `-`, which commands take as `--video=ID`.
- All problems are reported at once, each with its line number (the header is line 1). `manifest_rows` holds a part of
  the manifest in memory at a time, and the ids of all of it.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mcn.errors import UserError, several
from mcn.media.address import Address, Place, address_problem, is_address, place_of, shown
from mcn.media.lines import require_lines
from mcn.sources.languages import base_language

COLUMNS = ("video_id", "path", "narration", "split", "sha256", "title", "language")
SEPARATOR = "|"  # between the narration files of a video, and between their languages
ALIASES = {"video_path": "path"}
SAFE_ID = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]{0,127}")
ROWS_AT_A_TIME = 20_000
_WANTED = "a CSV or parquet with the columns video_id,path[,narration,split,sha256,title,language]"


@dataclass(frozen=True)
class ManifestRow:
    """One video; `path`, where it is no address, and the files of `narration` are joined to the manifest's folder.

    language: of each narration file, or of what is spoken where there is no file; empty where the manifest is silent.
    """

    video_id: str
    path: Place
    narration: tuple[Path, ...] = ()
    split: str | None = None
    sha256: str | None = None
    title: str | None = None
    language: tuple[str, ...] = ()


def read_manifest(path: Path, check_files: bool = True) -> list[ManifestRow]:
    """Return all rows of the manifest, in its order; arguments and errors are those of `manifest_rows`."""
    return list(manifest_rows(path, check_files))


def manifest_rows(path: Path, check_files: bool = True) -> Iterator[ManifestRow]:
    """Yield the rows of the manifest in its order; after the last row, raise `UserError` if any of them is bad.

    check_files: whether a video or narration file that does not exist is an error here; otherwise it is left to
    decoding, which writes `not_found` into the ledger.

    Errors: `UserError` listing every bad row with its line number.
    """
    problems: list[str] = []
    first: dict[str, int] = {}
    for line, values, wrong in _records(path):
        if wrong:
            problems.append(f"line {line}: {wrong}")
            continue
        row = _row(path.parent, line, values, check_files, problems)
        if first.setdefault(row.video_id, line) != line:
            already = f"is already on line {first[row.video_id]}"
            problems.append(f"line {line}: video_id {row.video_id!r} {already}")
        yield row
    if problems:
        raise several(
            problems,
            f"a manifest whose every row is usable ({path})",
            "mend these rows, then run again",
        )


def _records(path: Path) -> Iterator[tuple[int, dict[str, str], str]]:
    """The rows as (line, values by column name, what is wrong with the row's form or "")."""
    if not path.is_file():
        raise UserError(
            f"no manifest {path}", _WANTED, "write it, or correct `manifest:` in the config"
        )
    rows = 0
    try:
        for record in _parquet(path) if path.suffix == ".parquet" else _csv(path):
            rows += 1
            yield record
    except UserError:
        raise
    except Exception as error:  # csv, pyarrow and codecs raise many kinds
        raise UserError(
            f"{path}: {type(error).__name__}: {error}", _WANTED, "mend the file"
        ) from error
    if not rows:
        raise UserError(f"{path} has no rows", "at least one video", "add rows below the header")


def _csv(path: Path) -> Iterator[tuple[int, dict[str, str], str]]:
    require_lines(path)
    with open(path, encoding=_encoding(path), errors="surrogateescape", newline="") as file:
        head = file.readline()
        file.seek(0)
        separator = next((mark for mark in ",;\t" if mark in head), ",")
        reader = csv.reader(file, delimiter=separator, strict=True)
        line = 1
        names: list[str] = []
        while (cells := _next(reader, path, line)) is not None:
            cells = [
                cell.encode(errors="surrogateescape").decode(errors="backslashreplace")
                for cell in cells
            ]
            if not names and cells:
                names = _column_names(cells, path)
            elif cells:
                fits = len(cells) == len(names)
                wrong = "" if fits else f"{len(cells)} cells where the header has {len(names)}"
                yield line, dict(zip(names, cells, strict=False)), wrong
            line = reader.line_num + 1
        if not names:
            raise UserError(f"{path} is empty", _WANTED, "write a header and rows")


def _next(reader: Any, path: Path, line: int) -> list[str] | None:
    """The cells of the row that begins on a line, None at the end."""
    try:
        return next(reader, None)
    except csv.Error as error:
        cure = "look for a quote that is not closed, and double the quotes within quotes"
        raise UserError(f"{path}, line {line}: {error}", _WANTED, cure) from error


def _encoding(path: Path) -> str:
    with open(path, "rb") as file:
        mark = file.read(2)
    return "utf-16" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _parquet(path: Path) -> Iterator[tuple[int, dict[str, str], str]]:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        names = _column_names(schema.names, path)
        for name, kind in zip(names, schema.types, strict=True):
            if not _is_text(kind) and not (name == "video_id" and pa.types.is_integer(kind)):
                got = f"{path}: column {name} holds {kind}"
                raise UserError(got, "columns of text", "write this column as text")
        line = 2
        for batch in file.iter_batches(ROWS_AT_A_TIME):
            columns = [column.cast(pa.string()).to_pylist() for column in batch.columns]
            for cells in zip(*columns, strict=True):
                values = zip(names, cells, strict=True)
                yield line, {name: cell or "" for name, cell in values}, ""
                line += 1


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    views = pa.types.is_string_view(kind)
    return views or any(
        test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
    )


def _column_names(cells: list[str], path: Path) -> list[str]:
    """The names of the columns, aliases resolved. Errors: `UserError` for names that are unknown, twice or missing."""
    names = [ALIASES.get(cell.strip(), cell.strip()) for cell in cells]
    _check_columns(names, f"{_WANTED} ({path})")
    return names


def _check_columns(names: list[str], wanted: str) -> None:
    problems = [_unknown_column(name) for name in names if name not in COLUMNS]
    problems += [f"no column {name!r}" for name in ("video_id", "path") if name not in names]
    if len(set(names)) != len(names):
        problems.append("a column occurs twice (video_path is an alias of path)")
    if problems:
        raise several(problems, wanted, "mend the header line")


def _unknown_column(name: str) -> str:
    near = difflib.get_close_matches(str(name), [*COLUMNS, *ALIASES], 1)
    return f"unknown column {name!r}" + (f", did you mean {near[0]!r}?" if near else "")


def _row(
    folder: Path, line: int, values: dict[str, str], check_files: bool, problems: list[str]
) -> ManifestRow:
    text = {name: values.get(name, "").strip() for name in COLUMNS}
    if not SAFE_ID.fullmatch(text["video_id"]):
        allowed = "letters, digits, _ - . (not first), at most 128"
        problems.append(
            f"line {line}: video_id {text['video_id']!r} is not safe as a name ({allowed})"
        )
    if not text["path"]:
        problems.append(f"line {line}: no path")
    if text["sha256"] and not re.fullmatch(r"[0-9a-fA-F]{64}", text["sha256"]):
        problems.append(f"line {line}: sha256 {text['sha256']!r} is not 64 hexadecimal digits")
    # a path keeps its own blanks: only an empty cell means "none"
    video = place_of(values.get("path", ""), folder)
    if isinstance(video, Address) and (wrong := address_problem(video.url)):
        problems.append(f"line {line}: {wrong}")
    names = values["narration"].split(SEPARATOR) if text["narration"] else []
    if far := [shown(name.strip()) for name in names if is_address(name.strip())]:
        problems.append(f"line {line}: narration is read from files, not from {', '.join(far)}")
        names = []
    narration = tuple(folder / name for name in names if name.strip())
    language = _languages(text["language"], len(narration), f"line {line}", problems)
    for file in (video, *narration) if check_files and text["path"] else ():
        # of the two, only this one answers for impossible names, too
        if isinstance(file, Path) and not os.path.exists(file):  # noqa: PTH110
            problems.append(f"line {line}: no file {file}")
    return ManifestRow(
        text["video_id"],
        video,
        narration,
        text["split"] or None,
        text["sha256"].lower() or None,
        text["title"] or None,
        language,
    )


def _languages(cell: str, files: int, line: str, problems: list[str]) -> tuple[str, ...]:
    """The languages of a row: none, or one for each of so many narration files, all of them different."""
    if not cell:
        return ()
    found = []
    for tag in (one.strip() for one in cell.split(SEPARATOR)):
        found.append(base_language(tag))
        if not found[-1]:
            problems.append(f"{line}: language {tag!r} is no code of a language, such as en or de")
    if len(found) != max(1, files):
        problems.append(f"{line}: {len(found)} languages of {files} narration files")
    if len(set(found)) != len(found):
        problems.append(f"{line}: the same language twice in {cell!r}")
    return tuple(found)
