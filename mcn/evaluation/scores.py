"""Scores of embeddings, as every evaluation computes and writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_ELEMENTS = 1 << 24  # scores held at a time: 64 MiB as float32
KEPT_BYTES = 2 << 30  # of a gallery in float64


def block_rows(columns: int) -> int:
    """How many rows of so many columns are held at a time: `BLOCK_ELEMENTS`, at least one row."""
    return max(1, BLOCK_ELEMENTS // max(1, columns))


class Gallery:
    """Items that queries are scored against: (G, D) vectors, made float64 once where that takes `KEPT_BYTES` at most.

    device: a GPU multiplies there; the sums of float64 that it gives round to the same float32.
    """

    def __init__(self, vectors: np.ndarray, device: str = "cpu") -> None:
        self.vectors, self.device = vectors, device
        self._step = block_rows(4 * vectors.shape[1])
        self._starts = range(0, len(vectors), self._step)

    @cached_property
    def _kept(self) -> list[Any] | None:
        if 8 * self.vectors.size > KEPT_BYTES:
            return None
        return [self._doubles(self._part(start)) for start in self._starts]

    def _part(self, start: int) -> np.ndarray:
        return self.vectors[start : start + self._step]

    def _doubles(self, rows: np.ndarray) -> Any:
        if self.device == "cpu":
            return rows.astype(np.float64)
        import torch  # which an evaluation on a processor need not wait for

        return torch.from_numpy(np.ascontiguousarray(rows)).to(self.device, torch.float64)

    def _products(self, queries: np.ndarray) -> Iterator[Any]:
        """Float64 products with the items, part by part."""
        left = self._doubles(queries)
        for number, start in enumerate(self._starts):
            right = self._kept[number] if self._kept else self._doubles(self._part(start))
            yield left @ right.T

    def scores(self, queries: np.ndarray) -> np.ndarray:
        """Dot products (Q, G) float32 with queries (Q, D), summed in float64."""
        if self.device != "cpu":
            there: np.ndarray = self.scores_there(queries).cpu().numpy()
            return there
        scores = np.empty((len(queries), len(self.vectors)), np.float32)
        for start, product in zip(self._starts, self._products(queries), strict=True):
            scores[:, start : start + self._step] = product
        return scores

    def scores_there(self, queries: np.ndarray) -> Tensor:
        """The same on a device that is not the processor."""
        import torch

        return torch.cat([product.float() for product in self._products(queries)], dim=1)


def dot_products(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Dot products (Q, G) float32 of (Q, D) and (G, D), summed in float64.

    Float32 sums depend on a product's block shapes in the last bit, which would split the tie of two equal items.
    """
    return Gallery(gallery).scores(queries)


def undefined_as_none(scores: Mapping[str, float]) -> dict[str, float | None]:
    """NaN as None, which JSON can hold."""
    return {name: None if np.isnan(value) else value for name, value in scores.items()}
