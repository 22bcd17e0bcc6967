"""Zero-shot action recognition: a model on labelled action videos -> `{dataset}.recognition.json`.

Conventions
-----------
- `scores` (N, C): text . video of video i and class c, vision only (MCN's UCF-101 / HMDB-51 protocol); all labelled
  videos, no split. Every visual feature is pooled over the whole video (`RecognitionOptions.pooling`), L2-normalised,
  then they are concatenated. `labels` (N,): the right class of each video.
- A video counts at top-1 when its class scores strictly highest, at top-5 when its 0-based rank, ties averaged, is
  below 5 (as `mcn.evaluation.retrieval.metrics`).
- `scores` of the JSON: top-1, top-5 (percent of `total`), n, total; `chance`: the exact expectation of random orders;
  `classes`: top-1, n and total of every class. `total` is the number of labelled videos.
- A video without visual features is a mistake, or dropped (`missing_modality`; `video_only` is as `mistake`); a class
  text without a known word has a zero vector; both are counted in `missing`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcn.errors import UserError
from mcn.evaluation.annotations import Moment, read_rows
from mcn.evaluation.embed import Embedded, EvaluatedModel
from mcn.evaluation.inputs import absence
from mcn.evaluation.retrieval import metrics as retrieval
from mcn.evaluation.scores import dot_products
from mcn.options.evaluation import RecognitionOptions
from mcn.shards.clips import maximum, unit_length


def _mean(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows.mean(axis=0, dtype=np.float32))


POOLING: dict[str, Callable[[np.ndarray], np.ndarray]] = {"mean": _mean, "max": maximum}
TOP = (1, 5)


def evaluate(given: EvaluatedModel) -> dict[str, Any]:
    """Top-1 and top-5 accuracy; see Conventions."""
    options = given.options
    assert isinstance(options, RecognitionOptions)
    tables = given.tables
    classes, texts, video_ids, labelled = read_labels(tables["actions"], tables["labels"])
    given.require_videos(video_ids)
    found = whole_videos(given, options, video_ids)
    usable = np.flatnonzero(found.present)
    if not len(usable):
        raise UserError("no video with visual features", "at least one", "see the ledger")
    videos = found.vectors[usable]
    named = given.embed_text(texts)
    missing = Counter(reason for reason in [*found.reasons, *named.reasons] if reason)
    everyone = labelled[usable] if options.missing_modality == "drop" else labelled
    scores = dot_products(videos, named.vectors)
    return {
        **measure(scores, labelled[usable], everyone, classes),
        "missing": dict(sorted(missing.items())),
    }


def whole_videos(
    given: EvaluatedModel, options: RecognitionOptions, video_ids: Sequence[str]
) -> Embedded:
    """Embeddings of whole videos; a network that takes frames pools them itself."""
    if given.model.takes_frames:
        return given.embed_video([Moment(video_id, 0.0, math.inf) for video_id in video_ids])
    pooled = [pool_video(given, POOLING[options.pooling], video_id) for video_id in video_ids]
    vectors = np.zeros((len(pooled), given.model.embedding_width), np.float32)
    usable = [number for number, one in enumerate(pooled) if not isinstance(one, str)]
    if usable:
        vectors[usable] = given.embed_features(np.array([pooled[n] for n in usable], np.float32))
    return Embedded(vectors, [one if isinstance(one, str) else "" for one in pooled])


def measure(
    scores: np.ndarray, labels: np.ndarray, everyone: np.ndarray, classes: Sequence[str]
) -> dict[str, Any]:
    """Counts, scores, chance and classes of the JSON, from (N, C) scores and the class numbers (N,) of their videos.

    everyone: class numbers of all videos of the denominator.
    """
    found = by_class(retrieval.ranks(scores, labels), labels, everyone, len(classes))
    return {
        "n": len(labels),
        "total": len(everyone),
        "scores": accuracies(scores, labels, len(everyone)),
        "chance": chance(len(classes), len(labels), len(everyone)),
        "classes": {classes[number]: one for number, one in found.items()},
    }


def accuracies(
    scores: np.ndarray, labels: np.ndarray, total: int | None = None
) -> dict[str, float]:
    """Top-1 and top-5 accuracy of (N, C) scores, percent of `total` (default N); n and total.

    ValueError for labels that are no classes, NaN and wrong shapes.

    >>> accuracies(np.array([[2.0, 1.0], [3.0, 3.0]]), np.array([0, 1]))["top-1"]
    50.0
    """
    found = retrieval.ranks(scores, np.asarray(labels))
    total = retrieval.validate_total(len(found), total)
    shares = {f"top-{k}": 100.0 * int(retrieval.hits(found, k).sum()) / total for k in TOP}
    return {**shares, "n": len(found), "total": total}


def by_class(
    found: np.ndarray, labels: np.ndarray, everyone: np.ndarray, classes: int
) -> dict[int, dict[str, float]]:
    """Class that has a video -> its top-1 (percent of its total), n and total.

    found, labels: 0-based rank and class (N,) of the videos ranked; everyone: classes of all labelled videos.
    """
    totals, counts = (np.bincount(one, minlength=classes) for one in (everyone, labels))
    right = np.bincount(labels[retrieval.hits(found, 1)], minlength=classes)
    return {
        one: {
            "top-1": 100.0 * int(right[one]) / int(totals[one]),
            "n": int(counts[one]),
            "total": int(totals[one]),
        }
        for one in np.flatnonzero(totals).tolist()
    }


def chance(classes: int, ranked: int, total: int) -> dict[str, float]:
    """Expectation of `accuracies` over random orders of the classes."""
    shares = {f"top-{k}": 100.0 * min(k, classes) / classes * ranked / total for k in TOP}
    return {**shares, "n": ranked, "total": total}


def read_labels(actions: Path, labels: Path) -> tuple[list[str], list[str], list[str], np.ndarray]:
    """Classes, their texts, labelled videos, and the class number of each."""
    listed = read_rows(actions, ["class", "text"])
    number = {row["class"]: one for one, row in enumerate(listed)}
    rows = read_rows(labels, ["video_id", "class"])
    truth = np.array([number[row["class"]] for row in rows])
    return list(number), [row["text"] for row in listed], [row["video_id"] for row in rows], truth


def pool_video(
    given: EvaluatedModel, pooling: Callable[[np.ndarray], np.ndarray], video_id: str
) -> np.ndarray | str:
    """Pooled features (D,) float32 of a whole video, or the reason why there are none."""
    parts = []
    for name in given.inputs.video:
        sequence = given.stores[name][video_id]
        if sequence.values is None:
            return absence("video", sequence)
        parts.append(unit_length(pooling(sequence.values)))
    return np.concatenate(parts) if all(part.any() for part in parts) else "video: empty_window"
