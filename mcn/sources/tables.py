"""The common tables of a data set; those of retrieval and localization, made from annotation CSVs.

Tables (all parquet, seconds from the start of the video)
------
- videos: video_id, path, narration, split, sha256, title; narration: video_id, start_seconds, end_seconds, text, one
  row a line (`mcn.sources.videos`).
- captions (retrieval): clip_id, video_id, start_seconds, end_seconds, caption. An empty end is the end of the video. A
  clip with several captions has a row for each, with the same video and times.
- tasks (localization): task, step (0-based), text; steps: video_id, task, step, start_seconds, end_seconds.
- classes (ordered alignment): class_id (0, 1, 2, ...), text, background; transcripts: video_id, position (0, 1, 2,
  ...), class_id; segments: video_id, class_id, start_seconds, end_seconds (`mcn.sources.alignment`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from mcn.errors import UserError, several
from mcn.files import write_table
from mcn.sources.manifest import ManifestRow

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
CLASSES = pa.schema([("class_id", pa.int32()), ("text", pa.string()), ("background", pa.bool_())])
TRANSCRIPTS = pa.schema(
    [("video_id", pa.string()), ("position", pa.int32()), ("class_id", pa.int32())]
)
SEGMENTS = pa.schema(
    [
        ("video_id", pa.string()),
        ("class_id", pa.int32()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
    ]
)


def prepare_captions(annotations: Path, videos: Path, captions: Path) -> None:
    """CSV clip_id,video_id,start_seconds,end_seconds,caption -> captions table, checked against the videos."""
    table = read_csv(annotations, CAPTIONS, optional=("end_seconds",))
    problems = unusable(table, videos, open_ended=True)
    moments = table[["clip_id", "video_id", "start_seconds", "end_seconds"]].drop_duplicates()
    twice = moments.clip_id[moments.clip_id.duplicated()]
    problems += [f"clip_id {clip_id!r} names two different moments" for clip_id in twice.unique()]
    problems += [f"clip {clip_id}: no caption" for clip_id in table.clip_id[table.caption == ""]]
    finish(table, CAPTIONS, problems, annotations, captions)


def prepare_steps(
    task_list: Path, annotations: Path, videos: Path, tasks: Path, steps: Path
) -> None:
    """CSVs task,step,text and video_id,task,step,start_seconds,end_seconds -> tasks and steps tables."""
    lists = read_csv(task_list, TASKS)
    table = read_csv(annotations, STEPS)
    problems = unusable(table, videos)
    for task, group in lists.groupby("task"):
        if sorted(group.step) != list(range(len(group))):
            problems.append(
                f"task {task!r}: steps {sorted(group.step)}, wanted 0..{len(group) - 1}"
            )
    known = set(zip(lists.task, lists.step, strict=True))
    for video_id, task, step in zip(table.video_id, table.task, table.step, strict=True):
        if (task, step) not in known:
            problems.append(f"video {video_id}: step {step} of task {task!r} is not listed")
    finish(table, STEPS, problems, annotations, steps)
    write_table(tasks, pa.Table.from_pandas(lists, schema=TASKS, preserve_index=False))


def read_csv(path: Path, schema: pa.Schema, optional: Sequence[str] = ()) -> pd.DataFrame:
    """The columns of `schema`; cells of `optional` columns may be empty. Another form: `UserError`."""
    wanted = f"a CSV with the columns {','.join(schema.names)}"
    texts = {field.name: "string" for field in schema if pa.types.is_string(field.type)}
    try:
        table = pd.read_csv(
            path, dtype=texts, keep_default_na=False, na_values={name: [""] for name in optional}
        )
        missing = [name for name in schema.names if name not in table.columns]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}")
        table = table[schema.names]
        flags = [field.name for field in schema if pa.types.is_boolean(field.type)]
        if not table[flags].isin([0, 1]).all(axis=None):
            raise ValueError(f"{', '.join(flags)} other than 0 and 1")
        table = table.astype(dict.fromkeys(flags, bool))
        converted = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        raise UserError(f"{path}: {error}", wanted, "mend the file") from error
    return converted.to_pandas()


def unusable(table: pd.DataFrame, videos: Path, open_ended: bool = False) -> list[str]:
    """One line for every video that the videos table does not have and every time that is out of order."""
    known = set(pd.read_parquet(videos, columns=["video_id"]).video_id)
    problems = [f"unknown video_id {v!r}" for v in sorted(set(table.video_id) - known)]
    if "start_seconds" not in table:
        return problems
    end = table.end_seconds.fillna(np.inf) if open_ended else table.end_seconds
    wrong = table[~((table.start_seconds >= 0) & (table.start_seconds < end))]
    columns = wrong.video_id, wrong.start_seconds, wrong.end_seconds
    for video_id, first, last in zip(*columns, strict=True):
        problems.append(f"video {video_id}: an annotation from {first} to {last} s")
    return problems


def finish(
    table: pd.DataFrame, schema: pa.Schema, problems: Sequence[str], source: Path, output: Path
) -> None:
    """Write a table of annotations; `UserError` with every problem if there are any."""
    if problems:
        wanted = f"annotations of the manifest's videos ({source})"
        raise several(problems, wanted, "mend these rows")
    write_table(output, pa.Table.from_pandas(table, schema=schema, preserve_index=False))
    log.info("%d annotations of %d videos", len(table), table.video_id.nunique())
