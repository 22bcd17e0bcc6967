"""The common tables of a data set, made from a manifest and annotation CSVs.

Tables (all parquet, seconds from the start of the video)
------
- videos: video_id, path, narration, split, sha256, title. Paths below the working directory are stored relative to it.
- narration: video_id, start_seconds, end_seconds, text; one row a line.
- captions (retrieval): clip_id, video_id, start_seconds, end_seconds, caption.
- tasks (localization): task, step (0-based), text; steps: video_id, task, step, start_seconds, end_seconds.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from mcn.errors import UserError, VideoError, several
from mcn.files import write_table
from mcn.sources.manifest import ManifestRow, read_manifest
from mcn.sources.narration import read_narration

log = logging.getLogger(__name__)

VIDEOS = pa.schema([(name, pa.string()) for name in ManifestRow.__dataclass_fields__])
NARRATION = pa.schema(
    [
        ("video_id", pa.string()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("text", pa.string()),
    ]
)
CAPTIONS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("video_id", pa.string()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("caption", pa.string()),
    ]
)
TASKS = pa.schema([("task", pa.string()), ("step", pa.int32()), ("text", pa.string())])
STEPS = pa.schema(
    [
        ("video_id", pa.string()),
        ("task", pa.string()),
        ("step", pa.int32()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
    ]
)


def prepare_videos(
    manifest: Path, videos: Path, narration: Path, missing_files: str = "error"
) -> None:
    """Manifest -> videos and narration tables.

    `missing_files`: `error` (default) lists every missing or unreadable file and stops; `ledger` goes on and leaves
    them to the ledger.

    Errors: `UserError` with every bad row.
    """
    strict = missing_files == "error"
    rows = read_manifest(manifest, check_files=strict)
    lines, problems = narration_lines(rows)
    if problems and strict:
        raise several(
            problems,
            "narration files that parse (.srt, .vtt, .json, .csv)",
            "mend them, or set `missing_files: ledger` to go on without them",
        )
    for problem in problems:
        log.warning("no narration for %s", problem)
    records = [
        {
            **vars(row),
            "path": portable(row.path),
            "narration": portable(row.narration) if row.narration else None,
        }
        for row in rows
    ]
    write_table(narration, pa.Table.from_pylist(lines, schema=NARRATION))
    write_table(videos, pa.Table.from_pylist(records, schema=VIDEOS))
    spoken = len({line["video_id"] for line in lines})
    log.info("%d videos, %d with narration, %d lines", len(rows), spoken, len(lines))


def narration_lines(rows: list[ManifestRow]) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of the narration table, and one line for every narration file that cannot be used."""
    lines: list[dict[str, Any]] = []
    problems = []
    for row in tqdm(rows, desc="narration", unit="video", disable=None):
        if row.narration is None:
            continue
        try:
            found = read_narration(row.narration)
        except VideoError as error:
            problems.append(f"{row.video_id}: {error}")
        else:
            lines += [{"video_id": row.video_id, **line._asdict()} for line in found]
    return lines, problems


def portable(path: Path) -> str:
    """`path` relative to the working directory where it lies below it, absolute otherwise."""
    resolved = Path(path).resolve()
    try:
        return str(resolved.relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(resolved)


def prepare_captions(annotations: Path, videos: Path, captions: Path) -> None:
    """CSV clip_id,video_id,start_seconds,end_seconds,caption -> captions table, checked against the videos."""
    table = _annotations(annotations, CAPTIONS, videos)
    problems = [f"clip_id {c!r} occurs twice" for c in table.clip_id[table.clip_id.duplicated()]]
    problems += [f"clip {clip_id}: no caption" for clip_id in table.clip_id[table.caption == ""]]
    _finish(table, CAPTIONS, problems, annotations, captions)


def prepare_steps(
    task_list: Path, annotations: Path, videos: Path, tasks: Path, steps: Path
) -> None:
    """CSVs task,step,text and video_id,task,step,start_seconds,end_seconds -> tasks and steps tables."""
    lists = _read_csv(task_list, TASKS)
    problems = []
    for task, group in lists.groupby("task"):
        if sorted(group.step) != list(range(len(group))):
            problems.append(
                f"task {task!r}: steps {sorted(group.step)}, wanted 0..{len(group) - 1}"
            )
    table = _annotations(annotations, STEPS, videos)
    known = set(zip(lists.task, lists.step, strict=True))
    for video_id, task, step in zip(table.video_id, table.task, table.step, strict=True):
        if (task, step) not in known:
            problems.append(f"video {video_id}: step {step} of task {task!r} is not listed")
    _finish(table, STEPS, problems, annotations, steps)
    write_table(tasks, pa.Table.from_pandas(lists, schema=TASKS, preserve_index=False))


def _read_csv(path: Path, schema: pa.Schema) -> pd.DataFrame:
    wanted = f"a CSV with the columns {','.join(schema.names)}"
    try:
        table = pd.read_csv(path, keep_default_na=False)
        missing = [name for name in schema.names if name not in table.columns]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}")
        converted = pa.Table.from_pandas(table[schema.names], schema=schema, preserve_index=False)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{path}: {error}", wanted, "mend the file") from error
    return converted.to_pandas()


def _annotations(path: Path, schema: pa.Schema, videos: Path) -> pd.DataFrame:
    table = _read_csv(path, schema)
    known = set(pd.read_parquet(videos, columns=["video_id"]).video_id)
    problems = [f"unknown video_id {v!r}" for v in sorted(set(table.video_id) - known)]
    wrong = table[~((table.start_seconds >= 0) & (table.start_seconds < table.end_seconds))]
    columns = wrong.video_id, wrong.start_seconds, wrong.end_seconds
    for video_id, start, end in zip(*columns, strict=True):
        problems.append(f"video {video_id}: an annotation from {start} to {end} s")
    if problems:
        raise several(problems, f"annotations of the manifest's videos ({path})", "mend these rows")
    return table


def _finish(
    table: pd.DataFrame, schema: pa.Schema, problems: list[str], source: Path, output: Path
) -> None:
    if problems:
        raise several(problems, f"usable annotations ({source})", "mend these rows")
    write_table(output, pa.Table.from_pandas(table, schema=schema, preserve_index=False))
    log.info("%d annotations of %d videos", len(table), table.video_id.nunique())
