"""The tables of ordered alignment: classes, the transcript of every video, and where its items lie.

Conventions
-----------
- Inputs are CSVs with the columns of `CLASSES`, `TRANSCRIPTS`, `SEGMENTS` (`mcn.sources.tables`); background is 0 or 1.
- Class ids are 0, 1, 2, ..., in this order. Which of them is background is a column, never an assumption: in Mining
  YouTube it is the last one.
- Positions of a video are 0, 1, 2, ... in this order; a class may come again. Segments of a video do not overlap.
- A video has a transcript if and only if it has segments.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from mcn.errors import several
from mcn.files import write_table
from mcn.sources.tables import CLASSES, SEGMENTS, TRANSCRIPTS, finish, read_csv, unusable

OVERLAP_SECONDS = 1e-6  # what rounding of printed times may amount to


def prepare_alignment(
    class_list: Path,
    transcript_list: Path,
    segment_list: Path,
    videos: Path,
    classes: Path,
    transcripts: Path,
    segments: Path,
) -> None:
    """Three CSVs -> three tables, checked against each other and the videos; `UserError` with every problem."""
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
    write_table(classes, pa.Table.from_pandas(known, schema=CLASSES, preserve_index=False))
    finish(items, TRANSCRIPTS, [], transcript_list, transcripts)
    finish(times, SEGMENTS, [], segment_list, segments)


def _positions(items: pd.DataFrame) -> list[str]:
    """Videos whose items are not numbered 0, 1, 2, ... in order."""
    expected = items.groupby("video_id").cumcount()
    return [
        f"video {video_id}: positions of its transcript other than 0, 1, 2, ... in order"
        for video_id in items.video_id[items.position != expected].unique()
    ]


def _overlaps(times: pd.DataFrame) -> list[str]:
    """Segments that begin before the one before them has ended."""
    ordered = times.sort_values(["video_id", "start_seconds"], kind="stable")
    before = ordered.groupby("video_id").end_seconds.shift()
    wrong = ordered[ordered.start_seconds < before - OVERLAP_SECONDS]
    return [
        f"video {video_id}: a segment at {start} s before the one before it has ended"
        for video_id, start in zip(wrong.video_id, wrong.start_seconds, strict=True)
    ]
