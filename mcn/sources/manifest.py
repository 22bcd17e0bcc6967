"""The manifest: which videos a data set has.

Conventions
-----------
- CSV (comma, header, UTF-8) or parquet. Columns: `video_id`, `path` (alias `video_path`) and optionally `narration`,
  `split`, `sha256`, `title`. Other columns are refused by name, the nearest known one being suggested.
- Paths are relative to the manifest's folder.
- Ids are unique and safe as names: letters, digits, `_`, `-`, `.`, not starting with `.` or `-`, 1 to 128 characters.
- `read_manifest` reports every problem at once, each with its line number (the header is line 1).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mcn.errors import UserError, several

COLUMNS = ("video_id", "path", "narration", "split", "sha256", "title")
ALIASES = {"video_path": "path"}
SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}")


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
    """All rows of the manifest, in its order.

    `check_files`: a video or narration file that does not exist is an error here; otherwise it is left to decoding,
    which writes `not_found` into the ledger.

    Errors: `UserError` listing every bad row with its line number.
    """
    table = _read_table(path)
    problems: list[str] = []
    rows = [
        _row(path.parent, line, values, check_files, problems)
        for line, values in enumerate(table.to_dict("records"), start=2)
    ]
    problems += _duplicates([row.video_id for row in rows])
    if problems:
        raise several(
            problems,
            f"a manifest whose every row is usable ({path})",
            "mend these rows, then run again",
        )
    return rows


def _read_table(path: Path) -> pd.DataFrame:
    wanted = "a CSV or parquet with the columns video_id,path[,narration,split,sha256,title]"
    if not path.is_file():
        raise UserError(
            f"no manifest {path}", wanted, "write it, or correct `manifest:` in the config"
        )
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path).astype("string")
        else:
            table = pd.read_csv(path, dtype="string", keep_default_na=False, skip_blank_lines=False)
    except Exception as error:  # pandas and pyarrow raise many kinds
        raise UserError(
            f"{path}: {type(error).__name__}: {error}", wanted, "mend the file"
        ) from error
    table = table.rename(columns=ALIASES).fillna("")
    problems = [_unknown_column(name) for name in table.columns if name not in COLUMNS]
    problems += [
        f"no column {name!r}" for name in ("video_id", "path") if name not in table.columns
    ]
    if table.columns.has_duplicates:
        problems.append("a column occurs twice (video_path is an alias of path)")
    if problems:
        raise several(problems, f"{wanted} ({path})", "mend the header line")
    if table.empty:
        raise UserError(f"{path} has no rows", "at least one video", "add rows below the header")
    return table


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


def _duplicates(ids: list[str]) -> list[str]:
    first: dict[str, int] = {}
    problems = []
    for line, video_id in enumerate(ids, start=2):
        if first.setdefault(video_id, line) != line:
            problems.append(
                f"line {line}: video_id {video_id!r} is already on line {first[video_id]}"
            )
    return problems
