"""Scores of every second of every annotated video against the steps of its task, by modality, and their outcome.

Conventions: as in `stage_localization`. A step text without a known word scores 0 in every second: it is decoded with
the others, which it does not move, and counted in `missing`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from tqdm import tqdm

from mcn.evaluation.annotations import AnnotatedVideo, Vocabulary
from mcn.evaluation.embed import Stores, embed_text
from mcn.evaluation.localization import metrics as localization
from mcn.evaluation.localization.metrics import ScoredVideo, StepCounts
from mcn.evaluation.localization.second_embeddings import SecondEmbedder
from mcn.evaluation.retrieval.metrics import dot_products
from mcn.evaluation.retrieval.pairs import undefined_as_none
from mcn.networks.mcn import MultimodalClusteringNetwork
from mcn.options.evaluation import LocalizationOptions

COUNTS = ("n", "total")
Scores = dict[str, float | None]


@dataclass
class ModeOutcome:
    """One mode: scored `videos`, the time of their first seconds, and the videos `lost` that count as mistakes."""

    options: LocalizationOptions
    videos: list[ScoredVideo] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    lost: list[StepCounts] = field(default_factory=list)

    @cached_property
    def _by_task(self) -> dict[str, dict[str, dict[str, float]]]:
        found = {}
        named = {video.task for video in self.videos} | {counts.task for counts in self.lost}
        for task in sorted(named):
            videos = [one for one in self.videos if one.task == task]
            lost = [one for one in self.lost if one.task == task]
            exactly_one, draws = self.options.exactly_one, self.options.chance_draws
            found[task] = {
                "scores": localization.evaluate(videos, lost, exactly_one),
                "chance": localization.chance(videos, lost, exactly_one, draws, self.options.seed),
            }
        return found

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Scores of every task, with its chance recall beside; n, total in videos."""
        return {
            task: {
                **undefined_as_none(found["scores"]),
                "chance": undefined_as_none(found["chance"])["recall"],
            }
            for task, found in self._by_task.items()
        }

    def summary(self, among: Collection[str] | None = None) -> dict[str, Scores]:
        """`scores` and `chance`: means over tasks (those where a number is defined), sums of n and total.

        `among`: only these tasks; default all.
        """
        chosen = [found for task, found in self._by_task.items() if among is None or task in among]
        return {
            kind: undefined_as_none(_over_tasks([found[kind] for found in chosen]))
            for kind in ("scores", "chance")
        }


def _over_tasks(tasks: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = ("recall", "recall_pooled", "recall_argmax", "mean_average_precision")
    means = {}
    for name in names:
        defined = [task[name] for task in tasks if not np.isnan(task[name])]
        means[name] = float(np.mean(defined)) if defined else float("nan")
    return {**means, **{name: sum(task[name] for task in tasks) for name in COUNTS}}


class StepScorer:
    """Scores videos with a model; `missing` counts what could not be used, by reason.

    texts: task -> step texts. Errors: as `SecondEmbedder`.
    """

    def __init__(
        self,
        model: MultimodalClusteringNetwork,
        stores: Stores,
        texts: Mapping[str, list[str]],
        vocabulary: Vocabulary,
        options: LocalizationOptions,
    ) -> None:
        self.model, self.options = model, options
        self.texts, self.vocabulary = texts, vocabulary
        self.embedder = SecondEmbedder(model, stores, options)
        self.missing: Counter[str] = Counter()

    def score(self, videos: Sequence[AnnotatedVideo]) -> dict[str, ModeOutcome]:
        """Every mode's outcome on all videos."""
        outcomes = {mode: ModeOutcome(self.options) for mode in self.embedder.modes}
        steps = {task: self._embed_task(task) for task in sorted({video.task for video in videos})}
        for video in tqdm(videos, desc="step scores", unit="video", disable=None):
            self._score_video(video, steps[video.task], outcomes)
        return outcomes

    def _embed_task(self, task: str) -> np.ndarray:
        """(K, d) text embeddings of a task's steps."""
        options = self.options
        found = embed_text(
            self.model, self.vocabulary, self.texts[task], options.max_words, options.batch_size
        )
        self.missing.update(reason for reason in found.reasons if reason)
        return found.vectors

    def _score_video(
        self, video: AnnotatedVideo, steps: np.ndarray, outcomes: Mapping[str, ModeOutcome]
    ) -> None:
        found = self.embedder.embed(video.video_id, len(steps), "video: shorter_than_steps")
        if isinstance(found, str):
            self._lose(video, found, outcomes.values())
            return
        truth = video.truth(found.start, found.seconds, len(steps))
        beyond = video.annotated - int(truth.any(axis=0).sum())
        if beyond:
            self.missing["step: after_the_last_second"] += beyond
        for mode, seconds in found.modes.items():
            if isinstance(seconds, str):
                self._lose(video, seconds, [outcomes[mode]], counted=mode == "a")
                continue
            scores = dot_products(seconds, steps).astype(np.float64)
            if self.options.normalization == "log_softmax":
                scores = localization.log_softmax(scores)
            scored = ScoredVideo(video.video_id, video.task, scores, truth, video.annotated)
            outcomes[mode].videos.append(scored)
            outcomes[mode].starts.append(found.start)

    def _lose(
        self,
        video: AnnotatedVideo,
        reason: str,
        outcomes: Iterable[ModeOutcome],
        counted: bool = True,
    ) -> None:
        """Note a video that cannot be scored; under `drop` it leaves the denominator."""
        self.missing[reason] += counted
        if self.options.missing_modality != "drop":
            for outcome in outcomes:
                outcome.lost.append(StepCounts(video.task, 0, video.annotated))
