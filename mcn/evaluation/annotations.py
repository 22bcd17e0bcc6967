"""The annotated sets and the vocabulary as the evaluation reads them.

Conventions: seconds from container start; steps count from 0 in the order of their task. Tables are those that
`mcn.sources.annotation_tables` writes; a clip id that comes again is one clip with several captions. A clip without an
end lasts until the last row of each feature: its `end` is infinity.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from mcn.errors import UserError, several
from mcn.files import read_table
from mcn.shards import FeatureSequence
from mcn.shards.clips import values_of
from mcn.sources.annotation_tables import CAPTIONS, LENGTH
from mcn.sources.words import text_units

# More than half a window of any feature: what rounds times down still reaches the last row
BEYOND_SECONDS = 1.0


class Moment(NamedTuple):
    """A stretch of a video; an infinite `end` is the end of the video."""

    video_id: str
    start: float
    end: float

    def within(self, sequence: FeatureSequence) -> tuple[float, float]:
        """Start and end in seconds from row 0 of a feature, an infinite end lying behind its last row."""
        start, end = self.start - sequence.start_seconds, self.end - sequence.start_seconds
        behind = (len(values_of(sequence)) + 1) * sequence.step_seconds + BEYOND_SECONDS
        return start, end if math.isfinite(end) else behind


@dataclass(frozen=True)
class Captions:
    """A retrieval set: `clip_ids` and `clips` (N), `texts` (Q) and the clip that each describes, `clip_of` (Q,).

    languages: of each text, '' where it is not known.
    """

    clip_ids: list[str]
    clips: list[Moment]
    texts: list[str]
    clip_of: np.ndarray
    languages: list[str]


@dataclass(frozen=True)
class AnnotatedVideo:
    """One video of a localization set; `segments`: (step, start, end) of its task's list.

    seconds: whole seconds that were annotated; None where the annotations do not say.
    """

    video_id: str
    task: str
    segments: list[tuple[int, float, float]]
    seconds: int | None = None

    @property
    def annotated(self) -> int:
        """How many different steps are annotated."""
        return len({step for step, _, _ in self.segments})

    def truth(self, start: float, seconds: int, steps: int) -> np.ndarray:
        """(seconds, steps) uint8: 1 in the seconds floor(begin) .. ceil(end) of each segment, second 0 at `start`."""
        marked = np.zeros((seconds, steps), np.uint8)
        for step, begin, end in self.segments:
            marked[max(0, math.floor(begin - start)) : max(0, math.ceil(end - start)), step] = 1
        return marked


@dataclass(frozen=True)
class Vocabulary:
    """Words, or whole texts, known to the data set: token -> row of `vectors` (V, word_width) float32.

    unit: what a token is, word or text.
    """

    rows: Mapping[str, int]
    vectors: np.ndarray
    unit: str = "word"

    def words(self, text: str, max_words: int) -> np.ndarray:
        """Vectors (n, word_width) of the first `max_words` known words of a text, n >= 0."""
        tokens = text_units(text, self.unit, self.rows)
        known = [self.rows[token] for token in tokens if token in self.rows]
        return self.vectors[known[:max_words]]


def read_captions(path: Path | str) -> Captions:
    """A captions table; `UserError` where it is empty or a clip id names two different moments."""
    rows = read_rows(path, CAPTIONS.names)
    index: dict[str, int] = {}
    clips: list[Moment] = []
    clip_of, problems = [], []
    for row in rows:
        end = math.inf if row["end_seconds"] is None else row["end_seconds"]
        moment = Moment(row["video_id"], row["start_seconds"], end)
        if row["clip_id"] not in index:
            index[row["clip_id"]] = len(clips)
            clips.append(moment)
        elif clips[index[row["clip_id"]]] != moment:
            problems.append(f"clip {row['clip_id']}: two different moments")
        clip_of.append(index[row["clip_id"]])
    if problems:
        raise several(problems, f"one moment a clip id ({path})", "mend the annotations")
    texts, languages = ([row.get(name) or "" for row in rows] for name in ("caption", "language"))
    return Captions(list(index), clips, texts, np.array(clip_of), languages)


def read_steps(
    tasks: Path | str, steps: Path | str
) -> tuple[dict[str, list[str]], list[AnnotatedVideo]]:
    """Step texts of every task, and the annotated videos by id and task."""
    texts: dict[str, list[str]] = {}
    for row in sorted(
        read_rows(tasks, ["task", "step", "text"]), key=lambda r: (r["task"], r["step"])
    ):
        listed = texts.setdefault(row["task"], [])
        if row["step"] != len(listed):
            raise UserError(
                f"{tasks}: task {row['task']} has step {row['step']} after {len(listed)} steps",
                "steps 0, 1, 2, ... of every task",
                "mend the task list",
            )
        listed.append(row["text"])
    segments: dict[tuple[str, str], list[tuple[int, float, float]]] = {}
    for row in read_rows(steps, ["video_id", "task", "step", "start_seconds", "end_seconds"]):
        if not 0 <= row["step"] < len(texts.get(row["task"], [])):
            raise UserError(
                f"{steps}: step {row['step']} of task {row['task']} in video {row['video_id']}",
                "steps of the task list",
                f"mend the annotations or the task list ({tasks})",
            )
        segment = row["step"], row["start_seconds"], row["end_seconds"]
        segments.setdefault((row["video_id"], row["task"]), []).append(segment)
    lengths = _lengths(steps)
    return texts, [
        AnnotatedVideo(*key, sorted(found), lengths.get(key))
        for key, found in sorted(segments.items())
    ]


def _lengths(steps: Path | str) -> dict[tuple[str, str], int]:
    """(video id, task) -> the whole seconds that were annotated, where the table says so."""
    if LENGTH not in pq.read_schema(steps).names:
        return {}
    rows = read_rows(steps, ["video_id", "task", LENGTH])
    return {(row["video_id"], row["task"]): int(row[LENGTH]) for row in rows if row[LENGTH]}


def read_vocabulary(path: Path | str) -> Vocabulary:
    """A vocabulary table: token, vector (float32 little-endian bytes); its recipe says what a token is."""
    rows = read_rows(path, ["token", "vector"])
    vectors = np.stack([np.frombuffer(row["vector"], "<f4") for row in rows])
    metadata = pq.read_schema(path).metadata or {}
    unit = json.loads(metadata.get(b"mcn", b"{}")).get("unit", "word")
    return Vocabulary({row["token"]: number for number, row in enumerate(rows)}, vectors, unit)


def read_rows(path: Path | str, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a table of the data set; `UserError` where it is not there or empty."""
    try:
        rows: list[dict[str, Any]] = read_table(path, list(columns)).to_pylist()
    except FileNotFoundError:
        raise UserError(
            f"no file {path}", "a table of the data set", f"snakemake --cores N {path}"
        ) from None
    if not rows:
        raise UserError(f"{path} has no rows", "at least one", "mend the annotations")
    return rows
