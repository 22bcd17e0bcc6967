"""Linear probe of steps: which step does an annotated segment show, read from its embedding by a linear map?

    W = (sum_i x_i x_i^T + n r I)^-1 sum_i x_i y_i^T      x less its mean, y one-hot less its mean; scores x W + mean y

Conventions
-----------
- Named as an evaluation of one's own: `evaluations: {probe: {evaluate: "mcn.evaluation.recognition.probe:evaluate",
  tables: [tasks, steps]}}`; options: `ProbeOptions`.
- A class is a step's text, so that one step of two tasks is one class. Classes that occur in fewer than two videos
  cannot be learned from other videos, and are left out.
- The map is fitted on the segments of other videos (`folds` parts, videos dealt out by `seed`), so that no video is
  scored by a map that has seen it. x: the embedding of a segment's pictures, of unit length; of its sound for a model
  that sees none.
- `scores`: top-1 and top-5 of all segments, percent (as `mcn.evaluation.recognition.stage`); `features top-1` and
  `features top-5`: the same from the mean of the rows that the model reads, each feature of unit length, without the
  model. `chance`: the exact expectation of random orders of the classes, and for top-1 with the name `commonest` beside
  it the share of the commonest class of the other videos.
- A segment without pictures or sound is a mistake, and counted in `missing`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mcn.errors import UserError
from mcn.evaluation.annotations import Moment, read_steps
from mcn.evaluation.embed import EvaluatedModel
from mcn.evaluation.recognition.stage import accuracies, chance
from mcn.options.base import parsed
from mcn.options.evaluation import OwnEvaluation, ProbeOptions
from mcn.shards.clips import rate_of, rows_between, unit_length

LEAST_VIDEOS = 2  # that a class occurs in


class Segments(NamedTuple):
    """N annotated segments: moments, class numbers (N,), the numbers (N,) of their videos; names of the classes."""

    moments: list[Moment]
    labels: np.ndarray
    videos: np.ndarray
    classes: list[str]


def evaluate(given: EvaluatedModel) -> dict[str, Any]:
    """Accuracies of the probe on embeddings and on the features alone; see Conventions."""
    assert isinstance(given.options, OwnEvaluation)
    options = parsed(ProbeOptions, given.options.options, "correct evaluations.NAME.options")
    segments = read_segments(given)
    given.require_videos([one.video_id for one in segments.moments])
    seen = "v" in given.letters
    found = (
        given.embed_video(segments.moments)
        if seen
        else given.embed_audio(segments.moments, options.audio_frames)
    )
    names = given.inputs.video if seen else (str(given.inputs.audio),)
    total, kept = len(segments.labels), found.present
    labels, folds = segments.labels[kept], folds_of(segments.videos, options)[kept]
    scores: dict[str, float] = {}
    for prefix, vectors in (
        ("", found.vectors[kept]),
        ("features ", rows_of(given, names, segments)[kept]),
    ):
        guessed = probe(vectors, labels, folds, len(segments.classes), options.ridge)
        measured = accuracies(guessed, labels, total)
        scores |= {f"{prefix}{name}": measured[name] for name in ("top-1", "top-5")}
    random = chance(len(segments.classes), len(labels), total)
    commonest = 100.0 * np.mean(commonest_of_others(labels, folds) == labels) * len(labels) / total
    return {
        "n": len(labels),
        "total": total,
        "classes": len(segments.classes),
        "scores": scores,
        "chance": {
            **{
                f"{prefix}{name}": random[name]
                for prefix in ("", "features ")
                for name in ("top-1", "top-5")
            },
            "commonest": float(commonest),
        },
        "missing": dict(sorted(Counter(filter(None, found.reasons)).items())),
    }


def read_segments(given: EvaluatedModel) -> Segments:
    """The annotated segments of classes that occur in two videos; `UserError` where there are none."""
    texts, annotated = read_steps(given.tables["tasks"], given.tables["steps"])
    shown = [
        (Moment(video.video_id, start, end), texts[video.task][step])
        for video in annotated
        for step, start, end in video.segments
    ]
    places = defaultdict(set)
    for moment, text in shown:
        places[text].add(moment.video_id)
    classes = sorted(text for text, videos in places.items() if len(videos) >= LEAST_VIDEOS)
    kept = [one for one in shown if one[1] in set(classes)]
    if len(classes) < 2:
        got = f"{len(classes)} steps that occur in {LEAST_VIDEOS} videos"
        raise UserError(got, "two at least", "annotate more videos, or leave this evaluation out")
    number = {text: n for n, text in enumerate(classes)}
    ids = sorted({moment.video_id for moment, _ in kept})
    row = {video_id: n for n, video_id in enumerate(ids)}
    return Segments(
        [moment for moment, _ in kept],
        np.array([number[text] for _, text in kept]),
        np.array([row[moment.video_id] for moment, _ in kept]),
        classes,
    )


def folds_of(videos: np.ndarray, options: ProbeOptions) -> np.ndarray:
    """The part (N,) that each segment is scored in: videos are dealt out in an order drawn by the seed."""
    count = int(videos.max()) + 1
    order = np.random.default_rng(options.seed).permutation(count)
    part = np.empty(count, int)
    part[order] = np.arange(count) % options.folds
    return part[videos]


def probe(
    vectors: np.ndarray, labels: np.ndarray, folds: np.ndarray, classes: int, ridge: float
) -> np.ndarray:
    """Scores (N, classes) of vectors (N, D), each from the map that was fitted on the other folds."""
    rows, scores = unit_length(vectors).astype(np.float64), np.zeros((len(labels), classes))
    answers = np.eye(classes)[labels]
    for fold in np.unique(folds):
        held, known = folds == fold, folds != fold
        if not known.any():
            continue
        centre, shares = rows[known].mean(axis=0), answers[known].mean(axis=0)
        x, y = rows[known] - centre, answers[known] - shares
        penalty = len(x) * ridge
        if x.shape[1] <= len(x):
            weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
        else:  # the same map through the smaller system
            weights = x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(len(x)), y)
        scores[held] = (rows[held] - centre) @ weights + shares
    return scores


def commonest_of_others(labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The commonest class (N,) of the other folds, the first of several; -1 without any."""
    found = np.full(len(labels), -1)
    for fold in np.unique(folds):
        others = labels[folds != fold]
        if len(others):
            found[folds == fold] = np.bincount(others).argmax()
    return found


def rows_of(given: EvaluatedModel, names: Sequence[str], segments: Segments) -> np.ndarray:
    """(N, D) float32: the means of the rows of segments, of each feature of unit length, side by side."""
    parts = []
    for name in names:
        means = []
        for moment in segments.moments:
            sequence = given.stores[name][moment.video_id]
            rows = np.zeros((0, 0), np.float32) if sequence.values is None else sequence.values
            if len(rows):
                rows = rows[rows_between(*moment.within(sequence), rate_of(sequence), len(rows))]
            means.append(rows.mean(axis=0, dtype=np.float32) if len(rows) else None)
        width = next((len(one) for one in means if one is not None), 1)
        parts.append(
            unit_length(np.stack([np.zeros(width) if one is None else one for one in means]))
        )
    return np.concatenate(parts, axis=1)
