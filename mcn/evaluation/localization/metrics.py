"""Step localization: given the ordered steps of a task, find the second at which each happens in a video.

Conventions
-----------
- A video is (T, K): T seconds, K steps of its task. `truth` is 0/1, 1 where second t lies in an annotated segment of
  step k, segments widened to whole seconds: floor(start) .. ceil(end) (CrossTask). `predicted` is 0/1 of that shape.
- A step is hit when any predicted second of it is a true one. Steps that are not annotated in a video are decoded
  with the others, since the order is that of the task, and then ignored.
- Recalls of functions are fractions; `evaluate` and `chance` give percent.

Metrics
-------
- `decode_steps` (see `ordered_steps`): scores -> one second a step, in order. `argmax_steps`: every second its best
  step, no order.
- `recall`: hits / annotated steps of one video.
- `recall_per_video_then_task`: mean over a task's videos, then over tasks (MCN eval_cross.py; the default).
- `recall_pooled_per_task`: a task's hits / its annotated steps, then mean over tasks (Zhukov et al., CrossTask).
- `mean_average_precision`: of the seconds of a task's videos ranked by score, mean over steps, then over tasks.
- `evaluate`: all of these; `chance`: the same for scores that know nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from mcn.evaluation.localization.ordered_steps import decode_steps, step_seconds, validate_scores

__all__ = ["ScoredVideo", "StepCounts", "chance", "decode_steps", "evaluate", "recall"]

OfTask = TypeVar("OfTask", "ScoredVideo", "StepCounts")
DRAW_ELEMENTS = 1 << 22  # random scores held at a time


class StepCounts(NamedTuple):
    """One video's outcome; `hits` may be an expectation."""

    task: str
    hits: float
    annotated: int


@dataclass(frozen=True)
class ScoredVideo:
    """One video: `scores` and `truth` (T, K); `annotated`: steps annotated, those beyond T included."""

    video_id: str
    task: str
    scores: np.ndarray
    truth: np.ndarray
    annotated: int

    def counts(self, hits: float) -> StepCounts:
        return StepCounts(self.task, hits, self.annotated)


class TaskRecalls(NamedTuple):
    """`mean` over tasks, and each task's own; fractions."""

    mean: float
    tasks: dict[str, float]


def validate(truth: np.ndarray, predicted: np.ndarray) -> None:
    """Raise ValueError unless both are 0/1 of one shape (T, K) and a step is annotated."""
    if truth.ndim != 2 or truth.shape != predicted.shape:
        got = f"truth {truth.shape} and prediction {predicted.shape}"
        raise ValueError(f"got {got}, wanted one shape (seconds, steps)")
    for name, values in (("truth", truth), ("prediction", predicted)):
        if not np.isin(values, (0, 1)).all():
            raise ValueError(f"got a {name} with values other than 0 and 1 (are these scores?)")
    if not truth.any():
        raise ValueError("got a video without an annotated step, whose recall is undefined")


def recall(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Hits / annotated steps of one video, a fraction; (T, K) both, values 0 and 1.

    >>> recall(np.array([[1, 0], [0, 1]]), np.array([[1, 1], [0, 0]]))
    0.5
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    validate(truth, predicted)
    return hit_steps(truth, predicted) / int(truth.any(axis=0).sum())


def hit_steps(truth: np.ndarray, predicted: np.ndarray) -> int:
    """Number of steps with a predicted second that is a true one."""
    return int(((truth != 0) & (predicted != 0)).any(axis=0).sum())


def argmax_steps(scores: np.ndarray) -> np.ndarray:
    """Every second its highest scoring step, the first of equal ones: (T, K) -> (T, K) uint8, one 1 a row."""
    return np.eye(scores.shape[1], dtype=np.uint8)[np.argmax(scores, axis=1)]


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Log-probability of each step in each second: (T, K) -> (T, K); raw and these may decode differently."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def recall_per_video_then_task(counts: Iterable[StepCounts]) -> TaskRecalls:
    """Recall of each video, mean over the videos of a task, mean over tasks (MCN); NaN without videos."""
    return _over_tasks(
        {
            task: float(np.mean([video.hits / video.annotated for video in videos]))
            for task, videos in _by_task(counts).items()
        }
    )


def recall_pooled_per_task(counts: Iterable[StepCounts]) -> TaskRecalls:
    """Hits of all videos of a task / their annotated steps, mean over tasks (Zhukov); NaN without videos."""
    return _over_tasks(
        {
            task: sum(video.hits for video in videos) / sum(video.annotated for video in videos)
            for task, videos in _by_task(counts).items()
        }
    )


class DrawnRecall(NamedTuple):
    """Mean and standard deviation over draws of a recall (fractions), and the mean number of videos that are tested."""

    mean: float
    deviation: float
    videos: float


def recall_over_draws(
    counts: Sequence[StepCounts], training_videos: int, draws: int, seed: int
) -> DrawnRecall:
    """`recall_pooled_per_task` without training videos drawn at random; NaN where no task has more videos than that.

    Every draw leaves `training_videos` of each task out; a task that has no more is not tested (CrossTask data.py,
    `random_split`).
    """
    generator = np.random.default_rng(seed)
    recalls, tested = [], []
    groups = [found for found in _by_task(counts).values() if len(found) > training_videos]
    for _ in range(draws):
        left: list[StepCounts] = []
        for videos in groups:
            trained = set(generator.choice(len(videos), training_videos, replace=False).tolist())
            left += [video for place, video in enumerate(videos) if place not in trained]
        recalls.append(recall_pooled_per_task(left).mean)
        tested.append(len(left))
    return DrawnRecall(float(np.mean(recalls)), float(np.std(recalls)), float(np.mean(tested)))


def mean_average_precision(videos: Sequence[ScoredVideo], by_chance: bool = False) -> TaskRecalls:
    """Of each step over the joined seconds of a task's videos; mean over steps that occur, then over tasks.

    `by_chance`: its expectation for scores in random order.
    """
    tasks = {}
    for task, members in _by_task(videos).items():
        truth = np.concatenate([video.truth for video in members])
        scores = np.concatenate([video.scores for video in members])
        precisions = [
            chance_average_precision(int(truth[:, k].sum()), len(truth))
            if by_chance
            else average_precision(truth[:, k], scores[:, k])
            for k in np.flatnonzero(truth.any(axis=0))
        ]
        if precisions:
            tasks[task] = float(np.mean(precisions))
    return _over_tasks(tasks)


def average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the precision-recall steps of scores (T,) for 0/1 truth (T,); equal scores share one threshold.

    NaN where nothing is true.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order] != 0)
    last_of_ties = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = hits[last_of_ties]
    precision = found / (last_of_ties + 1)
    return float(np.sum(np.diff(found, prepend=0) * precision) / found[-1]) if found[-1] else np.nan


def chance_average_precision(positives: int, total: int) -> float:
    """Expected average precision when `total` seconds, `positives` of them true, are in random order (exact)."""
    harmonic = float(np.sum(1 / np.arange(1, total + 1)))
    return (harmonic + (positives - 1) / max(total - 1, 1) * (total - harmonic)) / total


def evaluate(
    videos: Sequence[ScoredVideo], lost: Sequence[StepCounts] = (), exactly_one: bool = True
) -> dict[str, float]:
    """Percent: recall (MCN), recall_pooled (Zhukov), recall_argmax, mean_average_precision; n, total in videos.

    `lost`: videos that could not be scored and count as errors in the recalls (hits 0); they are in `total`, not in
    `n`. The average precision is over scored videos only.
    """
    _validate_videos(videos)
    placed = [
        video.counts(hit_steps(video.truth, decode_steps(video.scores, exactly_one)))
        for video in videos
    ]
    free = [video.counts(hit_steps(video.truth, argmax_steps(video.scores))) for video in videos]
    return _summary([*placed, *lost], [*free, *lost], mean_average_precision(videos), len(videos))


def chance(
    videos: Sequence[ScoredVideo],
    lost: Sequence[StepCounts] = (),
    exactly_one: bool = True,
    draws: int = 100,
    seed: int = 0,
) -> dict[str, float]:
    """Expectation of what `evaluate` gives for scores that know nothing.

    Recalls of the programme are the mean of `draws` seeded draws a video, the rest is exact. A video's draws depend
    on its id, not on the other videos.
    """
    _validate_videos(videos)
    placed = [video.counts(chance_hits(video, exactly_one, draws, seed)) for video in videos]
    free = [video.counts(chance_argmax_hits(video.truth)) for video in videos]
    precision = mean_average_precision(videos, by_chance=True)
    return _summary([*placed, *lost], [*free, *lost], precision, len(videos))


def chance_hits(video: ScoredVideo, exactly_one: bool, draws: int, seed: int) -> float:
    """Expected number of hit steps when the dynamic programme decodes normally distributed scores."""
    truth = video.truth
    generator = np.random.default_rng([seed, zlib.crc32(video.video_id.encode())])
    hits = 0
    if not exactly_one:
        for _ in range(draws):
            hits += hit_steps(truth, decode_steps(generator.standard_normal(truth.shape), False))
        return hits / draws
    batch = max(1, DRAW_ELEMENTS // truth.size)
    for start in range(0, draws, batch):
        scores = generator.standard_normal((min(batch, draws - start), *truth.shape))
        hits += int((truth[step_seconds(scores), np.arange(truth.shape[1])] != 0).sum())
    return hits / draws


def chance_argmax_hits(truth: np.ndarray) -> float:
    """Expected number of hit steps when every second draws one of the K steps (exact)."""
    lengths = (truth != 0).sum(axis=0)
    return float(np.sum(1 - (1 - 1 / truth.shape[1]) ** lengths))


def _validate_videos(videos: Sequence[ScoredVideo]) -> None:
    steps_of: dict[str, int] = {}
    for video in videos:
        validate_scores(video.scores)
        if video.truth.shape != video.scores.shape or video.annotated < 1:
            got = f"{video.video_id}: truth {video.truth.shape}, {video.annotated} annotated steps"
            raise ValueError(f"got {got}, wanted truth {video.scores.shape} and a step at least")
        count, steps = video.truth.shape[1], steps_of.setdefault(video.task, video.truth.shape[1])
        if count != steps:
            got = f"{video.video_id}: {count} steps, but {steps} in another video of task {video.task}"
            raise ValueError(f"got {got}, wanted one step list a task")


def _summary(
    placed: list[StepCounts], free: list[StepCounts], precision: TaskRecalls, scored: int
) -> dict[str, float]:
    return {
        "recall": 100 * recall_per_video_then_task(placed).mean,
        "recall_pooled": 100 * recall_pooled_per_task(placed).mean,
        "recall_argmax": 100 * recall_per_video_then_task(free).mean,
        "mean_average_precision": 100 * precision.mean,
        "n": scored,
        "total": len(placed),
    }


def _by_task(items: Iterable[OfTask]) -> dict[str, list[OfTask]]:
    groups: dict[str, list[OfTask]] = {}
    for item in items:
        groups.setdefault(item.task, []).append(item)
    return dict(sorted(groups.items()))


def _over_tasks(tasks: dict[str, float]) -> TaskRecalls:
    return TaskRecalls(float(np.mean(list(tasks.values()))) if tasks else float("nan"), tasks)
