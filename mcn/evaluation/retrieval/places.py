"""Places of the right items: how many items of a gallery score higher than a query's best right one, how many the same.

Conventions
-----------
- Scores are dot products, summed in float64 and rounded to float32 (`mcn.evaluation.scores`), so that two equal items
  tie whatever the shapes of the products. The counts are exactly those of these scores.
- On a processor most scores need not be known: a product in float32 takes less than half the time, and none of its
  sums is off by more than

      (P + D / P + 4) 2^-24 |query| |item|        sums over P = `PART` of the D columns, which are then added

  A score that is further than that from the best right one is counted by its float32 product. Those within it, which
  are ties and near ties, are summed in float64. Where they are many, or lengths leave the range in which float32
  neither overflows nor vanishes, the whole block is summed in float64.
- Elsewhere products are taken in float64, and scores are counted on the device.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from mcn.evaluation.scores import Gallery, block_rows

# of a block of queries: row of the query, item that is acceptable
Pairs = tuple[np.ndarray, np.ndarray]
PART = 512
UNIT = 2.0**-24
SLACK = 1.01  # for what the bound leaves out: terms of second order, and lengths that are rounded
LEAST_LENGTH, LARGEST_LENGTH = 2.0**-60, 2.0**60
SHARE_OF_PAIRS = 1 / 64  # a pair that is summed by itself costs as much as some thirty in a product


class Places(NamedTuple):
    """Of each query's best acceptable item: how many others score `higher` (Q,), how many the `same` (Q,); int64."""

    higher: np.ndarray
    same: np.ndarray

    @property
    def ranks(self) -> np.ndarray:
        """0-based ranks (Q,) float64, ties averaged."""
        return self.higher + self.same / 2


def places_of_scores(scores: np.ndarray, own: Pairs) -> Places:
    """Places of (Q, G) scores; every query has a pair in `own`, and no pair stands there twice."""
    kind = scores.dtype if scores.dtype.kind == "f" else np.dtype(np.float64)
    best = _best(scores[own], own[0], len(scores), kind)
    places = Places(np.empty(len(scores), np.int64), np.empty(len(scores), np.int64))
    for row, (found, level) in enumerate(zip(scores, best, strict=True)):
        places.higher[row] = np.count_nonzero(found > level)  # no acceptable item is
        places.same[row] = np.count_nonzero(found == level)
    return Places(places.higher, places.same - _equal(scores[own], own[0], best))


def error_share(width: int) -> float:
    """Largest error of a product in float32 over the product of the lengths; width: of the vectors."""
    return SLACK * (min(PART, width) + -(-width // PART) + 4) * UNIT


class RankedGallery:
    """Items (G, D) among which the acceptable ones of queries are placed; products on `device`."""

    def __init__(self, vectors: np.ndarray, device: str = "cpu") -> None:
        self.items = Gallery(vectors, device)
        self.vectors, self.device = vectors, device

    def places(self, queries: np.ndarray, own: Pairs) -> Places:
        """Places of a block of queries (Q, D), see `places_of_scores`; NaN scores: ValueError."""
        if self.device != "cpu":
            return self._places_there(queries, own)
        places = self._places_by_bound(queries, own)
        if places is not None:
            return places
        return places_of_scores(_numbers(self.items.scores(queries)), own)

    @cached_property
    def _largest_length(self) -> float:
        """Of an item."""
        step = block_rows(self.vectors.shape[1])
        parts = [self.vectors[at : at + step] for at in range(0, len(self.vectors), step)]
        return float(np.max([_lengths(part).max() for part in parts], initial=0))  # NaN stays

    @cached_property
    def _floats(self) -> np.ndarray:
        return np.asarray(self.vectors, np.float32)

    def _places_by_bound(self, queries: np.ndarray, own: Pairs) -> Places | None:
        """None where the bound says too little."""
        if not LEAST_LENGTH <= self._largest_length <= LARGEST_LENGTH:
            return None
        lengths = _lengths(queries)
        if not np.isfinite(lengths).all():
            return None
        own_scores = self._exact(queries, own)
        best = _best(own_scores, own[0], len(queries), np.dtype(np.float32))
        # queries are multiplied by powers of two, which rounds nothing, to a length of 1/2 to 1
        powers = np.frexp(lengths)[1]
        with np.errstate(invalid="ignore", over="ignore"):
            margin = (
                error_share(queries.shape[1]) * np.ldexp(lengths, -powers) * self._largest_length
            )
            margin += np.ldexp(np.abs(np.spacing(best)).astype(np.float64), -powers)
            level = np.ldexp(best.astype(np.float64), -powers)
            low = np.nextafter((level - margin).astype(np.float32), np.float32(-np.inf))
            high = np.nextafter((level + margin).astype(np.float32), np.float32(np.inf))
        if not np.isfinite([low, high]).all():
            return None
        scaled = np.ldexp(queries.astype(np.float64), -powers[:, None]).astype(np.float32)
        higher, near = _count(self._products(scaled), low, high)
        if len(near[0]) > SHARE_OF_PAIRS * len(queries) * len(self.vectors):
            return None
        scores = self._exact(queries, near)
        higher += np.bincount(near[0][scores > best[near[0]]], minlength=len(queries))
        same = _equal(scores, near[0], best) - _equal(own_scores, own[0], best)
        return Places(higher, same)

    def _products(self, queries: np.ndarray) -> np.ndarray:
        """Dot products (Q, G) in float32, `PART` columns at a time."""
        products = queries[:, :PART] @ self._floats[:, :PART].T
        part = np.empty_like(products)
        for first in range(PART, queries.shape[1], PART):
            columns = slice(first, first + PART)
            products += np.matmul(queries[:, columns], self._floats[:, columns].T, out=part)
        return products

    def _exact(self, queries: np.ndarray, pairs: Pairs) -> np.ndarray:
        """Scores (P,) of single pairs."""
        scores = np.empty(len(pairs[0]), np.float32)
        step = block_rows(8 * queries.shape[1])
        for first in range(0, len(scores), step):
            rows, items = (indices[first : first + step] for indices in pairs)
            left, right = queries[rows].astype(np.float64), self.vectors[items].astype(np.float64)
            with np.errstate(over="ignore"):  # a score may be infinite
                scores[first : first + step] = np.einsum("pd,pd->p", left, right)
        return scores

    def _places_there(self, queries: np.ndarray, own: Pairs) -> Places:
        import torch  # which a ranking on a processor need not wait for

        scores = self.items.scores_there(queries)
        if bad := int(scores.isnan().any(dim=1).sum()):
            raise ValueError(f"got NaN scores of {bad} queries, wanted numbers")
        rows, columns = (torch.from_numpy(indices).to(scores.device) for indices in own)
        found = scores[rows, columns]
        best = scores.new_full((len(scores),), -torch.inf).scatter_reduce(0, rows, found, "amax")
        higher = (scores > best[:, None]).sum(dim=1)
        acceptable = torch.bincount(rows[found == best[rows]], minlength=len(scores))
        same = (scores == best[:, None]).sum(dim=1) - acceptable
        return Places(higher.cpu().numpy(), same.cpu().numpy())


def _numbers(scores: np.ndarray) -> np.ndarray:
    if np.isnan(scores.min(initial=np.inf)):  # NaN where any score is
        bad = np.flatnonzero(np.isnan(scores).any(axis=1))
        raise ValueError(f"got NaN scores of {len(bad)} queries, wanted numbers")
    return scores


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """Euclidean lengths (N,) float64 of (N, D)."""
    wide = vectors.astype(np.float64)
    with np.errstate(over="ignore"):
        return np.sqrt(np.einsum("nd,nd->n", wide, wide))


def _best(scores: np.ndarray, rows: np.ndarray, queries: int, kind: np.dtype) -> np.ndarray:
    """Largest of the scores (P,) of each row (Q,)."""
    best = np.full(queries, -np.inf, kind)
    np.maximum.at(best, rows, scores)
    return best


def _equal(scores: np.ndarray, rows: np.ndarray, best: np.ndarray) -> np.ndarray:
    """How many of the scores (P,) of each row equal its best (Q,)."""
    return np.bincount(rows[scores == best[rows]], minlength=len(best))


def _count(products: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, Pairs]:
    """How many products (Q, G) of each row lie above `high` (Q,); the pairs from `low` to `high`."""
    higher = np.empty(len(products), np.int64)
    rows, columns = [], []
    for row, found in enumerate(products):
        above = found > high[row]
        higher[row] = np.count_nonzero(above)
        near = np.flatnonzero((found >= low[row]) ^ above)
        rows.append(np.full(len(near), row))
        columns.append(near)
    return higher, (np.concatenate(rows), np.concatenate(columns))
