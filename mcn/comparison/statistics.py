"""Mean and spread over seeds, and paired differences of recalls with bootstrap intervals.

Conventions
-----------
- Spread is the sample standard deviation over seeds; a single seed has none.
- A difference is ours minus theirs on the very same captions. Both captions' videos and the runs are drawn with
  replacement: captions of one video share its look, runs their seed. Where both have equally many runs, run i of one
  is drawn with run i of the other (same seed, same order of videos).
- The interval is the percentile one. With three seeds it tells little about the spread between seeds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Summary(NamedTuple):
    """Mean and sample standard deviation (None of fewer than two values) of the values of `runs`."""

    mean: float
    spread: float | None
    runs: int


class Difference(NamedTuple):
    """Ours minus theirs, and its interval."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def summarize(values: list[float]) -> Summary | None:
    """None where there are no values."""
    if not values:
        return None
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Summary(float(np.mean(values)), spread, len(values))


def paired_difference(
    ours: np.ndarray, theirs: np.ndarray, units: np.ndarray, draws: int, level: float, seed: int
) -> Difference:
    """Values (runs, N) and (runs', N) of the same N items; units (N,): the video of each item."""
    if ours.shape[1] != theirs.shape[1] or len(units) != ours.shape[1] or not len(units):
        raise ValueError(f"ours {ours.shape}, theirs {theirs.shape}, units {units.shape}")
    _, of_item = np.unique(units, return_inverse=True)
    sizes = np.bincount(of_item)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=draws)
    first = _drawn_runs(rng, len(ours), draws)
    second = first if len(ours) == len(theirs) else _drawn_runs(rng, len(theirs), draws)
    means = [
        np.einsum("dv,sv,ds->d", weights, _per_unit(values, of_item, len(sizes)), runs)
        for values, runs in ((ours, first), (theirs, second))
    ]
    found = (means[0] - means[1]) / (weights @ sizes)
    tail = (1 - level) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Difference(float(ours.mean() - theirs.mean()), float(low), float(high))


def _drawn_runs(rng: np.random.Generator, runs: int, draws: int) -> np.ndarray:
    """(draws, runs): how often each run was drawn, over the number of runs."""
    return rng.multinomial(runs, np.full(runs, 1 / runs), size=draws) / runs


def _per_unit(values: np.ndarray, of_item: np.ndarray, units: int) -> np.ndarray:
    """(runs, N) -> (runs, units) sums."""
    sums = np.zeros((len(values), units))
    np.add.at(sums.T, of_item, values.T)
    return sums
