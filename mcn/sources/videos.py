"""The videos and narration tables of a data set, from a manifest of any length.

Conventions
-----------
- Tables are those of `mcn.sources.annotation_tables`. Paths below the working directory are stored relative to it, and
  a file that is a link keeps its own name. Addresses are stored as they are.
- Narration comes from a file for each language of a video, named in the manifest, or from one parquet table of all
  videos in the form of `mcn.sources.annotation_tables.NARRATION`: a million small files would take hours to open. A
  table `.csv` is one of captions: each caption is a line, so that models are trained on captions too.
- The language of a file is that of the manifest, of the file's name (`mcn.sources.beside`), or of its text
  (`mcn.sources.languages`), the first that says one. A table's column `language` may be left out: the language is then
  that of the table's first lines.
- Rows are read, checked and written some thousands at a time; of the whole only the ids are held.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from mcn.errors import UserError, VideoError, several
from mcn.files import TableWriter, stream_table, table_batches
from mcn.media.address import Address, Place
from mcn.sources.annotation_tables import NARRATION, VIDEOS, read_captions_csv
from mcn.sources.beside import language_in_name
from mcn.sources.languages import language_of
from mcn.sources.manifest import ROWS_AT_A_TIME, SEPARATOR, ManifestRow, manifest_rows
from mcn.sources.narration import Line, read_narration, unread_metadata

log = logging.getLogger(__name__)
Item = TypeVar("Item")


def prepare_videos(
    manifest: Path,
    videos: Path,
    narration: Path,
    missing_files: str = "error",
    narration_table: Path | None = None,
) -> None:
    """Manifest -> videos and narration tables, a part at a time.

    `missing_files`: `error` (default) lists every missing or unreadable file and stops; `ledger` goes on and leaves
    them to the ledger, unreadable narration by way of the table's metadata (`mcn.sources.narration`).
    `narration_table`: the narration of all videos, instead of a file a video.

    Errors: `UserError` with every bad row.
    """
    strict = missing_files == "error"
    problems: list[str] = []
    unread: dict[str, str] = {}
    working = Path.cwd()
    with stream_table(videos, VIDEOS) as written, stream_table(narration, NARRATION) as spoken:
        known: set[str] = set()
        lines = 0
        for rows in batched(manifest_rows(manifest, check_files=strict), ROWS_AT_A_TIME):
            known.update(row.video_id for row in rows)
            written.write_table(
                pa.Table.from_pylist([_record(row, working) for row in rows], VIDEOS)
            )
            if narration_table is None:
                found, failed = narration_lines(rows)
                lines += len(found)
                unread.update(failed)
                spoken.write_table(pa.Table.from_pylist(found, NARRATION))
            else:
                problems += [
                    f"{row.video_id}: a narration file beside {narration_table}"
                    for row in rows
                    if row.narration
                ]
        problems += [f"{video_id}: {error}" for video_id, error in unread.items()]
        if problems and (strict or narration_table):
            raise several(
                problems,
                "narration files that parse (.srt, .vtt, .json, .csv), or one table of all",
                "mend them, or set `missing_files: ledger` to go on without them",
            )
        if narration_table is not None:
            lines = _copy_narration(narration_table, known, spoken)
        spoken.note(unread_metadata(unread))
    for problem in problems:
        log.warning("no narration for %s", problem)
    log.info("%d videos, %d lines of narration", len(known), lines)


def _record(row: ManifestRow, working: Path) -> dict[str, str | None]:
    narration = SEPARATOR.join(portable(path, working) for path in row.narration)
    return {
        **vars(row),
        "path": portable(row.path, working),
        "narration": narration or None,
        "language": SEPARATOR.join(row.language) or None,
    }


def _copy_narration(table: Path, known: Collection[str], writer: TableWriter) -> int:
    """Copy a narration table, checking ids and times; the number of lines."""
    wanted = f"lines of the manifest's videos with 0 <= start_seconds <= end_seconds ({table})"
    lines = 0
    for part in _narration_parts(table):
        ids, start, end = (part[name].combine_chunks() for name in NARRATION.names[:3])
        strange = [one for one in pc.unique(ids).to_pylist() if one not in known]
        in_order = pc.and_(pc.greater_equal(start, 0), pc.less_equal(start, end))
        usable = pc.and_(in_order, pc.is_finite(end))
        if strange:
            usable = pc.and_(usable, pc.invert(pc.is_in(ids, value_set=pa.array(strange))))
        wrong = part.filter(pc.invert(pc.fill_null(usable, False))).to_pylist()
        if wrong:
            problems = [f"video {row['video_id']}: {row}" for row in wrong]
            raise several(problems, wanted, "make the table again, or correct the manifest")
        writer.write_table(part)
        lines += part.num_rows
    return lines


def _narration_parts(table: Path) -> Iterator[pa.Table]:
    """A table of narration a part at a time, or a CSV of captions as lines in order of video and time."""
    if table.suffix == ".csv":
        captions = read_captions_csv(table)
        lines = captions.rename(columns={"caption": "text"})[NARRATION.names]
        order = lines.sort_values(NARRATION.names[:3], kind="stable")
        yield pa.Table.from_pandas(order, NARRATION, preserve_index=False)
        return
    spoken: str | None = None
    for batch in table_batches(table):
        part = pa.Table.from_batches([batch])
        try:
            if "language" not in part.column_names:
                spoken = language_of(part["text"].to_pylist()) if spoken is None else spoken
                part = part.append_column("language", pa.array([spoken] * len(part), pa.string()))
            yield part.select(NARRATION.names).cast(NARRATION)
        except (KeyError, pa.ArrowException) as error:
            cure = "make the table again"
            raise UserError(f"{table}: {error}", f"the columns {NARRATION.names}", cure) from error


def narration_lines(
    rows: Sequence[ManifestRow],
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows of the narration table, and the error of every video whose narration cannot be read."""
    lines: list[dict[str, Any]] = []
    unread = {}
    for row in tqdm(rows, desc="narration", unit="video", disable=None):
        try:
            found = narration_by_language(row)
        except VideoError as error:
            unread[row.video_id] = str(error)
            continue
        for language, said in found.items():
            same = {"video_id": row.video_id, "language": language}
            lines += [{**same, **line._asdict()} for line in said]
    return lines, unread


def narration_by_language(row: ManifestRow) -> dict[str, list[Line]]:
    """Language -> the lines of the narration file that is in it, in the order of the files; {} without a file.

    Errors: `VideoError` of the first file that cannot be read, and for two files in one language.
    """
    found: dict[str, list[Line]] = {}
    for number, path in enumerate(row.narration):
        lines = read_narration(path)
        language = row.language[number] if row.language else language_in_name(path, row.path)
        language = language or language_of(line.text for line in lines)
        if language in found:
            named = f"the language {language}" if language else "a language that cannot be told"
            cure = "name their languages in the manifest's column language"
            raise VideoError("narration_unreadable", f"{path}: a second file in {named}; {cure}")
        found[language] = lines
    return found


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items, the last one shorter."""
    left = iter(items)
    while batch := list(itertools.islice(left, size)):
        yield batch


def portable(path: Place, working: Path) -> str:
    """`path` relative to the working directory where its folder lies below it, else absolute; an address as it is."""
    if isinstance(path, Address):
        return path.url
    return f"{_portable_folder(path.parent, working)}{path.name}"


@functools.lru_cache(maxsize=4096)
def _portable_folder(folder: Path, working: Path) -> str:
    try:
        resolved = (working / folder).resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name too long, a zero byte
        resolved = Path(os.path.abspath(working / folder))  # noqa: PTH100 - asks no disk
    try:
        below = resolved.relative_to(working.resolve())
    except ValueError:
        below = resolved
    return "" if below == Path() else f"{below}/"
