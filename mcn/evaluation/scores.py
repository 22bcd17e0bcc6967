"""Scores of embeddings, as every evaluation computes and writes them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

BLOCK_ELEMENTS = 1 << 24  # scores held at a time: 64 MiB as float32


def dot_products(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Dot products (Q, G) float32 of (Q, D) and (G, D), summed in float64.

    Float32 sums depend on a product's block shapes in the last bit, which would split the tie of two equal items.
    """
    scores = np.empty((len(queries), len(gallery)), np.float32)
    left = queries.astype(np.float64)
    step = max(1, BLOCK_ELEMENTS // max(1, 4 * gallery.shape[1]))
    for start in range(0, len(gallery), step):
        right = gallery[start : start + step].astype(np.float64)
        scores[:, start : start + step] = left @ right.T
    return scores


def undefined_as_none(scores: Mapping[str, float]) -> dict[str, float | None]:
    """NaN as None, which JSON can hold."""
    return {name: None if np.isnan(value) else value for name, value in scores.items()}
