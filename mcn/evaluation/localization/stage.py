"""Step localization: a model on step annotations -> `{dataset}.localization.json`.

Conventions
-----------
- Second t of a video and step k of its task: score = text_k . video_t, text_k . audio_t, or text_k . (video_t +
  audio_t): modes v, a, va; un-normalised (see `mcn.evaluation.seconds`). A step text without a known word scores 0 in
  every second: it is decoded with the others, which it does not move, and counted in `missing`.
- `scores`: recall (per video, then task), recall_pooled, recall_argmax, mean_average_precision of the headline mode,
  `recall (mode)` of every mode, percent; n, total: videos scored, videos of the set. `modes` has each mode's own
  numbers and denominators, `tasks` each task's of the headline mode. `chance`: the same for random scores.
- `splits`: where `cooking_tasks` is given, `scores` and `chance` of the headline mode for cooking and other tasks.
- `zhukov`: where `training_draws` is given, the protocol of the data set's authors: the pooled recall of the headline
  mode on the videos that are left when `training_videos` of each task are drawn for training, mean over draws.
- A video and a task of it are one item. One that lacks a modality, or has fewer seconds than its task has steps, is a
  mistake or dropped, see `EvaluationOptions.missing_modality`, and counted in `missing`.
- `timelines`: videos drawn at random among those scored; `truth` rows [step, start, end], `predicted` [step, second].
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mcn.errors import UserError, several
from mcn.evaluation.annotations import AnnotatedVideo, read_steps
from mcn.evaluation.embed import EvaluatedModel
from mcn.evaluation.localization import metrics as localization
from mcn.evaluation.localization.metrics import ScoredVideo, StepCounts, decode_steps
from mcn.evaluation.scores import undefined_as_none
from mcn.evaluation.seconds import SecondScorer, Summary, drawn
from mcn.options.evaluation import LocalizationOptions

MEANS = ("recall", "recall_pooled", "recall_argmax", "mean_average_precision")


def evaluate(given: EvaluatedModel) -> dict[str, Any]:
    """Scores of every mode; see Conventions."""
    options = given.options
    assert isinstance(options, LocalizationOptions)
    texts, videos = read_steps(given.tables["tasks"], given.tables["steps"])
    given.require_videos([video.video_id for video in videos])
    splits = cooking_split(options.cooking_tasks, texts)
    scorer = StepScorer(given, texts)
    outcomes = scorer.score(videos)
    headline = outcomes[scorer.headline]
    return {
        **scorer.result({mode: one.summary() for mode, one in outcomes.items()}, ["recall"]),
        "tasks": headline.tasks(),
        "splits": {name: headline.summary(tasks) for name, tasks in splits.items()},
        **({"zhukov": headline.zhukov()} if options.training_draws else {}),
        "timelines": timelines(videos, headline, texts),
    }


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

    def zhukov(self) -> dict[str, Any]:
        """The pooled recall without training videos drawn at random, percent: mean, deviation over draws, videos."""
        exactly_one, options = self.options.exactly_one, self.options
        placed = [
            one.counts(localization.hit_steps(one.truth, decode_steps(one.scores, exactly_one)))
            for one in self.videos
        ]
        drawn_so = options.training_videos, options.training_draws, options.seed
        found = localization.recall_over_draws([*placed, *self.lost], *drawn_so)
        recalls = {"recall": 100 * found.mean, "deviation": 100 * found.deviation}
        return {**undefined_as_none(recalls), "videos": found.videos}

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Scores of every task, with its chance recall beside; n, total in videos."""
        return {
            task: {
                **undefined_as_none(found["scores"]),
                "chance": undefined_as_none(found["chance"])["recall"],
            }
            for task, found in self._by_task.items()
        }

    def summary(self, among: Collection[str] | None = None) -> Summary:
        """`scores` and `chance`: means over tasks (those where a number is defined), sums of n and total.

        `among`: only these tasks; default all.
        """
        chosen = [found for task, found in self._by_task.items() if among is None or task in among]
        return {
            kind: undefined_as_none(_over_tasks([found[kind] for found in chosen]))
            for kind in ("scores", "chance")
        }


def _over_tasks(tasks: Sequence[Mapping[str, float]]) -> dict[str, float]:
    means = {}
    for name in MEANS:
        defined = [task[name] for task in tasks if not np.isnan(task[name])]
        means[name] = float(np.mean(defined)) if defined else float("nan")
    return {**means, **{name: sum(task[name] for task in tasks) for name in ("n", "total")}}


class StepScorer(SecondScorer):
    """Scores every second of videos against the steps of their tasks; texts: task -> step texts."""

    options: LocalizationOptions

    def __init__(self, given: EvaluatedModel, texts: Mapping[str, list[str]]) -> None:
        super().__init__(given)
        self.texts = texts

    def score(self, videos: Sequence[AnnotatedVideo]) -> dict[str, ModeOutcome]:
        """Every mode's outcome on all videos."""
        outcomes = {mode: ModeOutcome(self.options) for mode in self.modes}
        steps = {}
        for task in sorted({video.task for video in videos}):
            found = self.given.embed_text(self.texts[task])
            self.missing.update(reason for reason in found.reasons if reason)
            steps[task] = found.vectors
        for video in tqdm(videos, desc="step scores", unit="video", disable=None):
            self._score_video(video, steps[video.task], outcomes)
        return outcomes

    def _score_video(
        self, video: AnnotatedVideo, steps: np.ndarray, outcomes: Mapping[str, ModeOutcome]
    ) -> None:
        found = self.embed(video.video_id, video.seconds)
        if not isinstance(found, str) and found.seconds < len(steps):
            found = "video: shorter_than_steps"
        if isinstance(found, str):
            self.missing[found] += 1
            self._lose(video, outcomes.values())
            return
        truth = video.truth(found.start, found.seconds, len(steps))
        beyond = video.annotated - int(truth.any(axis=0).sum())
        if beyond:
            self.missing["step: after_the_last_second"] += beyond
        for mode, scores in self.scores(found, steps):
            if isinstance(scores, str):
                self._lose(video, [outcomes[mode]])
                continue
            if self.options.normalization == "log_softmax":
                scores = localization.log_softmax(scores)
            scored = ScoredVideo(video.video_id, video.task, scores, truth, video.annotated)
            outcomes[mode].videos.append(scored)
            outcomes[mode].starts.append(found.start)

    def _lose(self, video: AnnotatedVideo, outcomes: Iterable[ModeOutcome]) -> None:
        """Note a video that cannot be scored; under `drop` it leaves the denominator."""
        if self.options.missing_modality != "drop":
            for outcome in outcomes:
                outcome.lost.append(StepCounts(video.task, 0, video.annotated))


def timelines(
    videos: Sequence[AnnotatedVideo], outcome: ModeOutcome, texts: Mapping[str, list[str]]
) -> list[dict[str, Any]]:
    """True and predicted steps of scored videos drawn at random."""
    options = outcome.options
    segments = {(video.video_id, video.task): video.segments for video in videos}
    found = []
    scored = list(zip(outcome.videos, outcome.starts, strict=True))
    for video, start in drawn(scored, options.timelines, options.seed):
        placed = decode_steps(video.scores, options.exactly_one)
        found.append(
            {
                "video_id": video.video_id,
                "task": video.task,
                "seconds": len(video.scores),
                "steps": texts[video.task],
                "truth": [list(segment) for segment in segments[video.video_id, video.task]],
                "predicted": [[int(k), start + int(t)] for k, t in np.argwhere(placed.T)],
            }
        )
    return found


def cooking_split(named: list[str] | str | None, tasks: Collection[str]) -> dict[str, set[str]]:
    """`cooking` and `other` tasks of a set; empty without a list.

    named: names, or a text file with one a line (`LocalizationOptions.cooking_tasks`). Errors: `UserError` for a file
    that cannot be read, and for names that are no task of the set.
    """
    if named is None:
        return {}
    cure = "correct localization.cooking_tasks"
    if isinstance(named, str):
        try:
            lines = Path(named).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise UserError(f"{named}: {error}", "a text file with a task a line", cure) from None
        named = [line.strip() for line in lines if line.strip()]
    unknown = [f"no task {name!r}" for name in named if name not in tasks]
    if unknown:
        raise several(unknown, f"tasks of the set: {', '.join(sorted(tasks))}", cure)
    return {"cooking": set(named), "other": set(tasks) - set(named)}
