"""The evaluations of this package: what each needs of a data set and of a model.

The rules, the verbs, the lists of results and the checks of a configuration are made from the rows of `TASKS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def two(modalities: set[str]) -> bool:
    """Whether there are two modalities to rank against each other."""
    return len(modalities) > 1


def video_and_text(modalities: set[str]) -> bool:
    """Whether videos and texts are embedded."""
    return modalities >= {"video", "text"}


@dataclass(frozen=True)
class Task:
    """One evaluation of this package.

    tables: the annotations of a data set that it reads; the first of several alternatives that the data set has.
    suits: whether a model with these modalities can be evaluated; `wanted` says it in words. module: below
    `mcn.evaluation`, with its function `evaluate`. minutes: run time of its job. keys: further keys of a data set that
    change its numbers.
    """

    summary: str
    tables: tuple[tuple[str, ...], ...]
    suits: Callable[[set[str]], bool]
    wanted: str
    module: str
    minutes: int = 120
    keys: tuple[str, ...] = ()

    def tables_of(self, has: Callable[[str], Any]) -> tuple[str, ...]:
        """The annotations that are read of a data set, `has` saying which it has; () where it has none of them.

        Annotations come together, as the check of the configuration sees to: the last of each alternative decides.
        """
        return next((names for names in self.tables if has(names[-1])), ())


TASKS = {
    "retrieval": Task(
        "Rank the clips of a captioned data set, between every pair of modalities.",
        (("captions",),),
        two,
        "two modalities",
        "retrieval.stage",
    ),
    "localization": Task(
        "Place the ordered steps of each annotated video in time.",
        (("tasks", "steps"),),
        video_and_text,
        "video and text",
        "localization.stage",
    ),
    "alignment": Task(
        "Align each video with its ordered transcript, its own or that of its annotated steps.",
        (("classes", "transcripts", "segments"), ("tasks", "steps")),
        video_and_text,
        "video and text",
        "alignment.stage",
        minutes=240,
        keys=("segments",),
    ),
    "recognition": Task(
        "Rank the class names for each labelled video, by its pictures.",
        (("actions", "labels"),),
        video_and_text,
        "video and text",
        "recognition.stage",
        minutes=240,
    ),
}
