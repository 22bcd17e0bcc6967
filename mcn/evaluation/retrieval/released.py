"""What AVLnet's and MCN's published `metrics.py` prints, for labelled comparison. Never report these as results.

Every position tied with the right item enters the sums, so a constant (N, N) matrix has R@10 = 1000 %. Without ties the
numbers are those of `mcn.evaluation.retrieval.metrics`.
"""

from __future__ import annotations

import numpy as np

from mcn.evaluation.retrieval.metrics import RECALLS, Places, validate, validate_total


def released_convention(similarity: np.ndarray) -> dict[str, float]:
    """Recalls (percent) and MedR of (N, N) scores, item i being the right one of query i."""
    validate(similarity)
    own = np.diagonal(similarity)[:, None]
    places = Places((similarity > own).sum(axis=1), (similarity == own).sum(axis=1) - 1)
    return released_metrics(places)


def released_metrics(places: Places, total: int | None = None) -> dict[str, float]:
    """`released_convention` of places, each query having one acceptable item; percent of `total`.

    Like the released code it leaves queries that were not ranked out of MedR, yet counts them in `total`.
    """
    total = validate_total(len(places.higher), total)
    first, tied = places.higher, places.same + 1
    scores = {f"R@{k}": 100.0 * int(np.clip(k - first, 0, tied).sum()) / total for k in RECALLS}
    offsets = np.arange(tied.sum()) - np.repeat(np.cumsum(tied) - tied, tied)
    positions = np.repeat(first, tied) + offsets
    return {**scores, "MedR": float(np.median(positions)) + 1 if len(positions) else float("nan")}
