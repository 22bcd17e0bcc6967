"""The form of evaluation files, `{dataset}.{evaluation}.json`: a class for each evaluation, one for the user's own.

Conventions
-----------
- Recalls, overlaps and accuracies are percent of `total`; ranks (MedR, MeanR) are 1-based.
- A modality pair is `query->gallery` with t, v, a for text, video, audio: `t->va` ranks clips by video and audio.
- A step's prediction is one second; it is a `hit` where a true segment of that step covers it, segments being widened
  to whole seconds as CrossTask does (floor of the start, ceiling of the end), a `miss` where none does, and
  `uncounted` where the step is not annotated in the video: recall ignores it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from mcn.errors import UserError

Scores = dict[str, float | None]
Item = TypeVar("Item")


class Moment(BaseModel):
    """A stretch of a video, seconds from its start; without an end it lasts until the video ends."""

    video_id: str
    start_seconds: float
    end_seconds: float | None

    @property
    def middle(self) -> float:
        """Its middle, or its start where it has no end."""
        if self.end_seconds is None:
            return self.start_seconds
        return (self.start_seconds + self.end_seconds) / 2


class Retrieved(Moment):
    """One of the top moments of a query."""

    score: float
    correct: bool


class Query(Moment):
    """A caption, the moment that it describes and the 1-based rank that this moment got."""

    caption: str
    rank: float = Field(ge=1)
    top: list[Retrieved]


class Evaluation(BaseModel):
    """What every evaluation file has."""

    experiment: str
    dataset: str
    synthetic: bool = False
    n: int
    total: int
    provenance: dict[str, Any] = Field(default_factory=dict)


class Retrieval(Evaluation):
    """`{dataset}.retrieval.json`."""

    scores: dict[str, Scores]
    chance: dict[str, Any] = Field(default_factory=dict)
    full_video: dict[str, dict[str, Any]] = Field(default_factory=dict)
    languages: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)
    released_convention: dict[str, Scores] = Field(default_factory=dict)
    examples: list[Query] = Field(default_factory=list)
    missing: dict[str, Any] = Field(default_factory=dict)


class Timeline(BaseModel):
    """True and predicted steps of one video: `truth` rows (step, start, end), `predicted` rows (step, second)."""

    video_id: str
    task: str
    seconds: float
    steps: list[str]
    truth: list[tuple[int, float, float]]
    predicted: list[tuple[int, float]]

    def segments(self, step: int) -> list[tuple[float, float]]:
        """True (start, end) of one step."""
        return [(start, end) for number, start, end in self.truth if number == step]

    def guesses(self, step: int) -> list[tuple[float, str]]:
        """Predicted seconds of one step, each with its verdict: hit, miss or uncounted."""
        segments = self.segments(step)
        return [
            (second, _verdict(second, segments))
            for number, second in self.predicted
            if number == step
        ]

    @property
    def annotated(self) -> int:
        """How many of the steps are annotated in this video."""
        return len({step for step, _, _ in self.truth})

    @property
    def hits(self) -> int:
        """How many annotated steps have a predicted second that hits."""
        verdicts = [
            {verdict for _, verdict in self.guesses(step)} for step in range(len(self.steps))
        ]
        return sum("hit" in found for found in verdicts)


def _verdict(second: float, segments: Sequence[tuple[float, float]]) -> str:
    if not segments:
        return "uncounted"
    covered = any(math.floor(start) <= second < math.ceil(end) for start, end in segments)
    return "hit" if covered else "miss"


class Localization(Evaluation):
    """`{dataset}.localization.json`."""

    scores: Scores
    chance: Scores = Field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    splits: dict[str, dict[str, Scores]] = Field(default_factory=dict)
    timelines: list[Timeline] = Field(default_factory=list)


class AlignmentTimeline(BaseModel):
    """True and predicted segments of one video: rows (item, start, end), seconds; `items`: their texts."""

    video_id: str
    task: str
    seconds: float
    items: list[str]
    truth: list[tuple[int, float, float]]
    predicted: list[tuple[int, float, float]]


class Alignment(Evaluation):
    """`{dataset}.alignment.json`; `items`: transcript items that are not background."""

    items: int = 0
    scores: Scores
    chance: Scores = Field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    timelines: list[AlignmentTimeline] = Field(default_factory=list)
    missing: dict[str, Any] = Field(default_factory=dict)


class Recognition(Evaluation):
    """`{dataset}.recognition.json`."""

    scores: Scores
    chance: Scores = Field(default_factory=dict)
    classes: dict[str, dict[str, Any]] = Field(default_factory=dict)
    missing: dict[str, Any] = Field(default_factory=dict)


class Own(Evaluation):
    """`{dataset}.{name}.json` of an evaluation of the user's own; scores are what it says they are."""

    name: str
    n: int | None = None  # type: ignore[assignment]
    total: int | None = None  # type: ignore[assignment]
    scores: Scores
    chance: Scores = Field(default_factory=dict)


FORMS: dict[str, type[Evaluation]] = {
    "retrieval": Retrieval,
    "localization": Localization,
    "alignment": Alignment,
    "recognition": Recognition,
}


def read_evaluation(path: Path) -> Evaluation:
    """Parse one file by its name, `{dataset}.{evaluation}.json`; `UserError` naming every key that does not fit."""
    dataset, _, name = path.name.removesuffix(".json").rpartition(".")
    if not dataset or path.suffix != ".json":
        raise UserError(f"{path}", "a name {dataset}.{evaluation}.json", "name the file so")
    try:
        values = json.loads(path.read_bytes())
        return FORMS.get(name, Own).model_validate({"name": name, **values})
    except (ValidationError, ValueError) as error:
        wrong = [str(error)]
        if isinstance(error, ValidationError):
            wrong = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise UserError(
            f"{path}: " + "; ".join(wrong[:5]),
            "an evaluation of this version",
            f"delete it and run snakemake again (rm {path})",
        ) from None


def spread(queries: Sequence[Query], count: int) -> list[Query]:
    """At most `count` queries, evenly spaced from the best rank to the worst: no picking of nice ones."""
    return evenly(sorted(queries, key=lambda query: (query.rank, query.caption)), count)


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of `items`, evenly spaced, first and last included."""
    if len(items) <= count:
        return list(items)
    step = (len(items) - 1) / max(count - 1, 1)
    return [items[round(position * step)] for position in range(count)]
