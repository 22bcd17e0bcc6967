"""The common tables of a data set, and those of annotations, made from CSV files that are checked against the videos.

Tables
------
All tables are parquet; times are seconds from the start of the video. The CSV files have the same columns.

- videos: video_id, path, narration, split, sha256, title, language; several narration files and their languages are
  joined by `|`. narration: video_id, start_seconds, end_seconds, text, language, with one row for each line
  (`mcn.sources.videos`).
- captions (retrieval): clip_id, video_id, start_seconds, end_seconds, caption, language. An empty end means the end of
  the video. A clip with several captions, in one language or several, has a row for each of them, with the same video
  and times. `language` may be left out or empty: it is then detected (`mcn.sources.languages`).
- tasks (localization): task, step (counted from 0), text; steps: video_id, task, step, start_seconds, end_seconds, and
  `video_seconds`, the whole seconds that a video and task were annotated over, which may be left out or empty.
- classes (ordered alignment): class_id (0, 1, 2, ...), text, background; transcripts: video_id, position (0, 1, 2,
  ...), class_id; segments: video_id, class_id, start_seconds, end_seconds. Which class is background is a column, never
  an assumption: in Mining YouTube it is the last one. A class may stand in a transcript several times. Segments of a
  video do not overlap, and a video has a transcript if and only if it has segments.
- actions (recognition): class, text; labels: video_id, class. A video may lack a label.

Errors of every `prepare_*`: `UserError` with every row that cannot be used, before any table is written.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mcn.errors import UserError, several
from mcn.files import read_table, write_table
from mcn.media.lines import require_lines, require_size
from mcn.sources.languages import base_language, languages_of
from mcn.sources.manifest import ManifestRow
from mcn.sources.official_text import csv_lines

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

_TIMES = [("start_seconds", pa.float64()), ("end_seconds", pa.float64())]
_VIDEO = ("video_id", pa.string())

VIDEOS = pa.schema([(name, pa.string()) for name in ManifestRow.__dataclass_fields__])
_LANGUAGE = ("language", pa.string())  # '' where it is not known
NARRATION = pa.schema([_VIDEO, *_TIMES, ("text", pa.string()), _LANGUAGE])
CAPTIONS = pa.schema(
    [("clip_id", pa.string()), _VIDEO, *_TIMES, ("caption", pa.string()), _LANGUAGE]
)
TASKS = pa.schema([("task", pa.string()), ("step", pa.int32()), ("text", pa.string())])
LENGTH = "video_seconds"
STEPS = pa.schema(
    [_VIDEO, ("task", pa.string()), ("step", pa.int32()), *_TIMES, (LENGTH, pa.float64())]
)
CLASSES = pa.schema([("class_id", pa.int32()), ("text", pa.string()), ("background", pa.bool_())])
TRANSCRIPTS = pa.schema([_VIDEO, ("position", pa.int32()), ("class_id", pa.int32())])
SEGMENTS = pa.schema([_VIDEO, ("class_id", pa.int32()), *_TIMES])
ACTIONS = pa.schema([("class", pa.string()), ("text", pa.string())])
LABELS = pa.schema([_VIDEO, ("class", pa.string())])

OVERLAP_SECONDS = 1e-6  # what the rounding of printed times may amount to


def prepare_captions(annotations: Path, videos: Path, captions: Path) -> None:
    """Make the captions table from its CSV."""
    table = read_captions_csv(annotations)
    problems = unusable(table, videos, open_ended=True)
    moments = table[["clip_id", "video_id", "start_seconds", "end_seconds"]].drop_duplicates()
    twice = moments.clip_id[moments.clip_id.duplicated()]
    problems += [f"clip_id {clip_id!r} names two different moments" for clip_id in twice.unique()]
    problems += [f"clip {clip_id}: no caption" for clip_id in table.clip_id[table.caption == ""]]
    _refuse(problems, annotations)
    _write_annotations(captions, CAPTIONS, table)


def read_captions_csv(path: Path) -> pd.DataFrame:
    """The columns of `CAPTIONS` from a CSV, languages that it does not give detected. Errors: `UserError`."""
    table = read_csv(path, CAPTIONS, optional=("end_seconds",), may_lack=("language",))
    tags = {tag: base_language(tag) for tag in table.language.unique()}
    if strange := [tag for tag, code in tags.items() if tag and not code]:
        got = f"{path}: language {strange[0]!r}"
        raise UserError(got, "codes of languages, such as en or de", "mend the column language")
    codes = table.language.map(tags).to_numpy(dtype=object)
    silent = codes == ""
    codes[silent] = languages_of(table.caption[silent].tolist())
    return table.assign(language=codes)


def prepare_steps(
    task_list: Path, annotations: Path, videos: Path, tasks: Path, steps: Path
) -> None:
    """Make the tasks and steps tables from their CSVs."""
    lists = read_csv(task_list, TASKS)
    table = read_csv(annotations, STEPS, optional=(LENGTH,), may_lack=(LENGTH,))
    problems = unusable(table, videos) + _lengths(table)
    for task, group in lists.groupby("task"):
        if sorted(group.step) != list(range(len(group))):
            problems.append(
                f"task {task!r}: steps {sorted(group.step)}, wanted 0..{len(group) - 1}"
            )
    known = set(zip(lists.task, lists.step, strict=True))
    for video_id, task, step in zip(table.video_id, table.task, table.step, strict=True):
        if (task, step) not in known:
            problems.append(f"video {video_id}: step {step} of task {task!r} is not listed")
    _refuse(problems, annotations)
    _write_annotations(steps, STEPS, table)
    _write(tasks, TASKS, lists)


def _lengths(table: pd.DataFrame) -> list[str]:
    """One line for each video and task whose length is no whole number of seconds, or is several."""
    problems = []
    for (video_id, task), lengths in table.groupby(["video_id", "task"])[LENGTH]:
        found = lengths.unique()
        if len(found) > 1 or not (np.isnan(found[0]) or (found[0] >= 1 and found[0] % 1 == 0)):
            words = ", ".join(f"{one:g}" for one in found)
            problems.append(
                f"video {video_id}, task {task}: {LENGTH} {words}, wanted one whole number"
            )
    return problems


def prepare_alignment(
    class_list: Path,
    transcript_list: Path,
    segment_list: Path,
    videos: Path,
    classes: Path,
    transcripts: Path,
    segments: Path,
) -> None:
    """Make the classes, transcripts and segments tables from their CSVs, checked against each other."""
    known = read_csv(class_list, CLASSES)
    items, times = read_csv(transcript_list, TRANSCRIPTS), read_csv(segment_list, SEGMENTS)
    problems = []
    if list(known.class_id) != list(range(len(known))):
        problems.append(f"{class_list}: class ids other than 0, 1, 2, ... in order")
    for path, table in ((transcript_list, items), (segment_list, times)):
        strange = sorted(set(table.class_id) - set(known.class_id))
        problems += [f"{path}: unknown class_id {number}" for number in strange]
        problems += [f"{path}: {problem}" for problem in unusable(table, videos)]
    problems += _positions(items) + _overlaps(times)
    for video_id in sorted(set(items.video_id) ^ set(times.video_id)):
        problems.append(f"video {video_id}: a transcript without segments, or the reverse")
    if problems:
        raise several(problems, "classes, transcripts and segments that agree", "mend these rows")
    _write(classes, CLASSES, known)
    _write_annotations(transcripts, TRANSCRIPTS, items)
    _write_annotations(segments, SEGMENTS, times)


def _positions(items: pd.DataFrame) -> list[str]:
    """One line for each video whose items are not numbered 0, 1, 2, ... in order."""
    expected = items.groupby("video_id").cumcount()
    return [
        f"video {video_id}: positions of its transcript other than 0, 1, 2, ... in order"
        for video_id in items.video_id[items.position != expected].unique()
    ]


def _overlaps(times: pd.DataFrame) -> list[str]:
    """One line for each segment that begins before the one before it has ended."""
    ordered = times.sort_values(["video_id", "start_seconds"], kind="stable")
    before = ordered.groupby("video_id").end_seconds.shift()
    wrong = ordered[ordered.start_seconds < before - OVERLAP_SECONDS]
    return [
        f"video {video_id}: a segment at {start} s before the one before it has ended"
        for video_id, start in zip(wrong.video_id, wrong.start_seconds, strict=True)
    ]


def prepare_actions(
    action_list: Path, label_list: Path, videos: Path, actions: Path, labels: Path
) -> None:
    """Make the actions and labels tables from their CSVs; each bad row is named with its line."""
    problems: list[str] = []
    texts: dict[str, str] = {}
    for line, (action, text) in csv_lines(action_list, ACTIONS.names, header=True):
        if action in texts:
            problems.append(f"{action_list}, line {line}: class {action!r} again")
        if not action or not text:
            problems.append(f"{action_list}, line {line}: no {'text' if action else 'class'}")
        texts[action] = text
    known = set(read_table(videos, ["video_id"])["video_id"].to_pylist())
    found: dict[str, str] = {}
    for line, (video_id, action) in csv_lines(label_list, LABELS.names, header=True):
        if video_id not in known:
            problems.append(f"{label_list}, line {line}: unknown video_id {video_id!r}")
        if action not in texts:
            problems.append(f"{label_list}, line {line}: unknown class {action!r}")
        if video_id in found:
            problems.append(f"{label_list}, line {line}: video {video_id} again")
        found[video_id] = action
    if problems:
        raise several(problems, "one class a video, all classes listed", "mend these rows")
    import pandas as pd

    _write(actions, ACTIONS, pd.DataFrame(texts.items(), columns=ACTIONS.names))
    _write(labels, LABELS, pd.DataFrame(found.items(), columns=LABELS.names))
    log.info("%d videos of %d classes", len(found), len(texts))


def read_csv(
    path: Path, schema: pa.Schema, optional: Sequence[str] = (), may_lack: Sequence[str] = ()
) -> pd.DataFrame:
    """Read the columns of `schema` from a CSV. Errors: `UserError`.

    optional: columns whose cells may be empty. may_lack: columns that may not be there: of texts '' then, else NaN.
    """
    import pandas as pd  # half a second of every job whose tables have no CSV

    wanted = f"a CSV with the columns {','.join(schema.names)}"
    texts = {field.name: "string" for field in schema if pa.types.is_string(field.type)}
    try:
        require_size(path)
        require_lines(path)
        table = pd.read_csv(
            path, dtype=texts, keep_default_na=False, na_values={name: [""] for name in optional}
        )
        missing = [name for name in schema.names if name not in table.columns]
        absent = [name for name in may_lack if name in missing]
        table = table.assign(**{name: "" if name in texts else np.nan for name in absent})
        missing = [name for name in missing if name not in may_lack]
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
    known = set(read_table(videos, ["video_id"])["video_id"].to_pylist())
    problems = [f"unknown video_id {v!r}" for v in sorted(set(table.video_id) - known)]
    if "start_seconds" not in table:
        return problems
    end = table.end_seconds.fillna(np.inf) if open_ended else table.end_seconds
    wrong = table[~((table.start_seconds >= 0) & (table.start_seconds < end))]
    columns = wrong.video_id, wrong.start_seconds, wrong.end_seconds
    for video_id, first, last in zip(*columns, strict=True):
        problems.append(f"video {video_id}: an annotation from {first} to {last} s")
    return problems


def _refuse(problems: Sequence[str], source: Path) -> None:
    if problems:
        wanted = f"annotations of the manifest's videos ({source})"
        raise several(problems, wanted, "mend these rows")


def _write(path: Path, schema: pa.Schema, table: pd.DataFrame) -> None:
    write_table(path, pa.Table.from_pandas(table, schema=schema, preserve_index=False))


def _write_annotations(path: Path, schema: pa.Schema, table: pd.DataFrame) -> None:
    _write(path, schema, table)
    log.info("%d annotations of %d videos", len(table), table.video_id.nunique())
