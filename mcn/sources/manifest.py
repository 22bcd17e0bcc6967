"""The manifest: which videos a data set has.

Conventions
-----------
- CSV (comma, header, UTF-8) or parquet. Columns: `video_id`, `path` (alias `video_path`) and optionally `narration`,
  `split`, `sha256`, `title`. Other columns are refused by name, the nearest known one being suggested.
- Paths are relative to the manifest's folder.
- Ids are unique and safe as names: 1 to 128 letters, digits, `_`, `-` and `.`, the first of which is not `.`. Every
  YouTube id is safe, also those that start with `-`, which commands take as `--video=ID`.
- All problems are reported at once, each with its line number (the header is line 1). `manifest_rows` holds a part of
  the manifest in memory at a time, and the ids of all of it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from mcn.errors import UserError, several

COLUMNS = ("video_id", "path", "narration", "split", "sha256", "title")
ALIASES = {"video_path": "path"}
SAFE_ID = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]{0,127}")
ROWS_AT_A_TIME = 20_000


@dataclass(frozen=True)
class ManifestRow:
    """One video; `path` and `narration` are joined to the manifest's folder."""

    video_id: str
    path: Path
    narration: Path | None
    split: str | None
    sha256: str | None
    title: str | None


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
    for line, values in enumerate(_records(path), start=2):
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


def _records(path: Path) -> Iterator[dict[Any, Any]]:
    """The rows as dictionaries by column name, every value a string."""
    wanted = "a CSV or parquet with the columns video_id,path[,narration,split,sha256,title]"
    if not path.is_file():
        raise UserError(
            f"no manifest {path}", wanted, "write it, or correct `manifest:` in the config"
        )
    rows = 0
    try:
        for table in _tables(path):
            table = table.rename(columns=ALIASES).fillna("")
            _check_columns(list(table.columns), f"{wanted} ({path})")
            rows += len(table)
            yield from table.to_dict("records")
    except UserError:
        raise
    except Exception as error:  # pandas and pyarrow raise many kinds
        raise UserError(
            f"{path}: {type(error).__name__}: {error}", wanted, "mend the file"
        ) from error
    if not rows:
        raise UserError(f"{path} has no rows", "at least one video", "add rows below the header")


def _tables(path: Path) -> Iterator[pd.DataFrame]:
    """The manifest in parts; the first may be empty."""
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            yield file.schema_arrow.empty_table().to_pandas().astype("string")
            for batch in file.iter_batches(ROWS_AT_A_TIME):
                yield batch.to_pandas().astype("string")
    else:
        with pd.read_csv(
            path,
            dtype="string",
            keep_default_na=False,
            skip_blank_lines=False,
            chunksize=ROWS_AT_A_TIME,
        ) as parts:
            yield from parts


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
    folder: Path, line: int, values: dict[Any, Any], check_files: bool, problems: list[str]
) -> ManifestRow:
    text = {name: (values.get(name) or "").strip() for name in COLUMNS}
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
    video = folder / (values.get("path") or "")
    narration = folder / values["narration"] if text["narration"] else None
    for file in (video, narration) if check_files and text["path"] else ():
        if file is not None and not file.exists():
            problems.append(f"line {line}: no file {file}")
    return ManifestRow(
        text["video_id"],
        video,
        narration,
        text["split"] or None,
        text["sha256"].lower() or None,
        text["title"] or None,
    )
