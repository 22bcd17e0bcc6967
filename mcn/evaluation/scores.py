"""Scores of embeddings, as every evaluation computes and writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

BLOCK_ELEMENTS = 1 << 24  # scores held at a time: 64 MiB as float32
KEPT_BYTES = 2 << 30  # of a gallery in float64


class Gallery:
    """Items that queries are scored against: (G, D) vectors, made float64 once where that takes `KEPT_BYTES` at most.

    device: a GPU multiplies there; the sums of float64 that it gives round to the same float32.
    """

    def __init__(self, vectors: np.ndarray, device: str = "cpu") -> None:
        self.vectors, self.device = vectors, device
        self._step = max(1, BLOCK_ELEMENTS // max(1, 4 * vectors.shape[1]))
        self._starts = range(0, len(vectors), self._step)
        kept = 8 * vectors.size <= KEPT_BYTES
        self._parts = [self._part(start) for start in self._starts] if kept else None

    def _part(self, start: int) -> Any:
        return self._doubles(self.vectors[start : start + self._step])

    def _doubles(self, rows: np.ndarray) -> Any:
        if self.device == "cpu":
            return rows.astype(np.float64)
        import torch  # which an evaluation on a processor need not wait for

        return torch.from_numpy(np.ascontiguousarray(rows)).to(self.device, torch.float64)

    def scores(self, queries: np.ndarray) -> np.ndarray:
        """Dot products (Q, G) float32 with queries (Q, D), summed in float64."""
        scores = np.empty((len(queries), len(self.vectors)), np.float32)
        left = self._doubles(queries)
        for number, start in enumerate(self._starts):
            right = self._part(start) if self._parts is None else self._parts[number]
            product = left @ right.T
            if self.device != "cpu":
                product = product.float().cpu().numpy()
            scores[:, start : start + self._step] = product
        return scores


def dot_products(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Dot products (Q, G) float32 of (Q, D) and (G, D), summed in float64.

    Float32 sums depend on a product's block shapes in the last bit, which would split the tie of two equal items.
    """
    return Gallery(gallery).scores(queries)


def undefined_as_none(scores: Mapping[str, float]) -> dict[str, float | None]:
    """NaN as None, which JSON can hold."""
    return {name: None if np.isnan(value) else value for name, value in scores.items()}
