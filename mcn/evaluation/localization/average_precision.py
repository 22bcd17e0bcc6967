"""Average precision of a ranking, and its exact expectation for a random order."""

from __future__ import annotations

import numpy as np


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
