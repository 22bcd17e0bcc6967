"""Action classes and the class of every video, from CSV files to tables.

Tables (parquet): actions: class, text; labels: video_id, class. A video may lack a label; a label's video is in the
manifest.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow as pa

from mcn.errors import several
from mcn.files import read_table, write_table
from mcn.sources.reading import csv_lines

log = logging.getLogger(__name__)

ACTIONS = pa.schema([("class", pa.string()), ("text", pa.string())])
LABELS = pa.schema([("video_id", pa.string()), ("class", pa.string())])


def prepare_actions(
    action_list: Path, label_list: Path, videos: Path, actions: Path, labels: Path
) -> None:
    """CSVs class,text and video_id,class -> actions and labels tables, checked against the videos.

    Errors: `UserError` naming every row that cannot be used with its line.
    """
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
    _write(actions, ACTIONS, texts)
    _write(labels, LABELS, found)
    log.info("%d videos of %d classes", len(found), len(texts))


def _write(path: Path, schema: pa.Schema, values: dict[str, str]) -> None:
    columns = [pa.array(values.keys(), pa.string()), pa.array(values.values(), pa.string())]
    write_table(path, pa.Table.from_arrays(columns, schema=schema))
