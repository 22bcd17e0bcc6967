"""Zero-shot action recognition: class names are ranked for every video.

Conventions
-----------
- `scores` (N, C): video i with class c, higher is better; `labels` (N,): the right class of each video.
- A video counts at top-1 when its class scores strictly highest, at top-5 when its 0-based rank, ties averaged, is
  below 5 (as `mcn.evaluation.retrieval.metrics`).
- `total` is the number of labelled videos; those that are not in the matrix count as errors. Percent of `total`.

Metrics
-------
- `evaluate`: top-1, top-5, n, total. `by_class`: top-1 of every class. `chance`: the exact expectation of `evaluate`
  for scores in random order.
"""

from __future__ import annotations

import numpy as np

from mcn.evaluation.retrieval import metrics as retrieval

TOP = (1, 5)


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """0-based rank (N,) of every video's class; ValueError for labels that are no classes, NaN and wrong shapes."""
    return retrieval.ranks(scores, np.asarray(labels))


def evaluate(scores: np.ndarray, labels: np.ndarray, total: int | None = None) -> dict[str, float]:
    """Top-1 and top-5 accuracy, percent of `total` (default N); n and total.

    >>> evaluate(np.array([[2.0, 1.0], [3.0, 3.0]]), np.array([0, 1]))["top-1"]
    50.0
    """
    found = ranks(scores, labels)
    total = retrieval.validate_total(len(found), total)
    accuracies = {f"top-{k}": 100.0 * int(retrieval.hits(found, k).sum()) / total for k in TOP}
    return {**accuracies, "n": len(found), "total": total}


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
    """Expectation of `evaluate` over random orders of the classes."""
    accuracies = {f"top-{k}": 100.0 * min(k, classes) / classes * ranked / total for k in TOP}
    return {**accuracies, "n": ranked, "total": total}
