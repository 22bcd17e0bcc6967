"""Differences between two objectives on the same videos and seeds: their interval, their test, and its power.

    d_sv = mu + a_s + b_v + e_sv,   a_s ~ (0, A), b_v ~ (0, B), e_sv ~ (0, E),   s = 1..S seeds, v = 1..V videos

Conventions
-----------
- d_sv is what our run of seed s scored on video v, less what the baseline's run of the same seed did. Both are drawn
  from many: the mean shall hold for other seeds and other videos, so that both are random (a mixed model with crossed
  effects; it is balanced, so that its estimates are means and mean squares, without any iteration).
- MS_a, MS_b, MS_e are the mean squares of seeds, videos and the rest. The variance of the mean is
  (MS_a + MS_b - MS_e) / (S V); a component that comes out negative counts as 0, so that MS_a and MS_b count as MS_e at
  least. Degrees of freedom are Satterthwaite's, and the test is Student's t with them. With one video it is the paired
  t-test over seeds, with one seed that over videos. Few seeds make the interval wide, as they should; percentile
  intervals of a bootstrap of five seeds would be too narrow by a fifth of the variance and the tail of t.
- Families of tests are corrected by Holm's procedure, which controls the chance of any false positive.
- Power is that of the first step of Holm's procedure (level / tests), by simulation with normal effects of the
  estimated size. Later steps ask for less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

Values = np.ndarray  # (..., seeds, videos)


class Difference(NamedTuple):
    """Mean difference with its interval, two-sided p, standard error and degrees of freedom."""

    value: float
    low: float
    high: float
    p: float
    error: float
    freedom: float


@dataclass(frozen=True)
class Components:
    """Variances of the differences: between seeds, between videos, and the rest."""

    seeds: float
    videos: float
    rest: float


def mean_squares(values: Values) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(..., S, V) -> mean squares of seeds, videos and the rest (...); 0 of a factor with one level."""
    seeds, videos = values.shape[-2:]
    mean = values.mean(axis=(-2, -1))
    by_seed, by_video = values.mean(axis=-1), values.mean(axis=-2)
    of_seeds = videos * ((by_seed - mean[..., None]) ** 2).sum(axis=-1)
    of_videos = seeds * ((by_video - mean[..., None]) ** 2).sum(axis=-1)
    rest = values - by_seed[..., None] - by_video[..., None, :] + mean[..., None, None]
    of_rest = (rest**2).sum(axis=(-2, -1))
    freedom = seeds - 1, videos - 1, (seeds - 1) * (videos - 1)
    squares = zip((of_seeds, of_videos, of_rest), freedom, strict=True)
    first, second, third = (total / max(1, free) for total, free in squares)
    return first, second, third


def components(differences: Sequence[np.ndarray]) -> Components:
    """Variance components, pooled over matrices (S, V) of differences of the same kind."""
    found = np.mean([mean_squares(one) for one in differences], axis=0)
    seeds, videos = differences[0].shape
    of_seeds, of_videos, rest = found.tolist()
    return Components(
        max(0.0, (of_seeds - rest) / videos), max(0.0, (of_videos - rest) / seeds), rest
    )


def _errors(values: Values) -> tuple[np.ndarray, np.ndarray]:
    """(..., S, V) -> standard errors of the mean and degrees of freedom (...)."""
    seeds, videos = values.shape[-2:]
    of_seeds, of_videos, rest = mean_squares(values)
    seed_part, video_part = of_seeds > rest, of_videos > rest
    if seeds == 1 or videos == 1:  # there is no rest: the paired t-test over the other factor
        square, freedom = (of_videos, videos - 1) if seeds == 1 else (of_seeds, seeds - 1)
        return np.sqrt(square / (seeds * videos)), np.full_like(square, freedom)
    variance = np.where(
        seed_part & video_part,
        of_seeds + of_videos - rest,
        np.maximum(np.maximum(of_seeds, of_videos), rest),
    )
    parts = [
        np.where(seed_part, of_seeds**2 / (seeds - 1), 0),
        np.where(video_part, of_videos**2 / (videos - 1), 0),
        np.where(seed_part == video_part, rest**2 / ((seeds - 1) * (videos - 1)), 0),
    ]
    below = np.sum(parts, axis=0)
    freedom = np.divide(variance**2, below, out=np.full_like(variance, np.inf), where=below > 0)
    return np.sqrt(variance / (seeds * videos)), freedom


def difference(values: np.ndarray, level: float = 0.05) -> Difference:
    """The mean of differences (S, V), at least two of them, its 1 - level interval and the test against 0."""
    if values.ndim != 2 or values.size < 2 or not np.isfinite(values).all():
        raise ValueError(f"differences {values.shape}: two at least and finite, of seeds by videos")
    error, freedom = (float(one) for one in _errors(values))
    mean = float(values.mean())
    half = float(stats.t.ppf(1 - level / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, freedom)) if error else float(mean == 0)
    return Difference(mean, mean - half, mean + half, p, error, freedom)


class Share(NamedTuple):
    """Our mean as a share of another's, and its interval; None where that has no end within `SHARES`."""

    value: float
    low: float | None
    high: float | None


SHARES = np.linspace(-3, 4, 1401)  # of the other's gain


def share(ours: np.ndarray, others: np.ndarray, level: float = 0.05) -> Share:
    """Two matrices of differences to one baseline: the shares that their data do not rule out (Fieller 1954).

    A share r is ruled out where the mean of ours - r others differs from 0 by the test of `difference`.
    """
    kept = [float(r) for r in SHARES if difference(ours - r * others, level).p >= level]
    value = float(ours.mean() / others.mean())
    low = min(kept) if kept and min(kept) > SHARES[0] else None
    high = max(kept) if kept and max(kept) < SHARES[-1] else None
    return Share(value, low, high)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of a family -> those corrected for their number, in the same order (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    corrected, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order.tolist()):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected


@dataclass(frozen=True)
class Design:
    """A study to be made: seeds, videos, the level of one test, and how many studies are simulated from a seed."""

    seeds: int
    videos: int
    level: float
    simulations: int = 2000
    seed: int = 0


def power(parts: Components, effect: float, design: Design) -> float:
    """Share of simulated studies whose test finds the effect, in its direction where there is one."""
    rng = np.random.default_rng(design.seed)
    seeds, videos, found = design.seeds, design.videos, 0
    chunk = max(1, 2_000_000 // (seeds * videos))
    for start in range(0, design.simulations, chunk):
        count = min(chunk, design.simulations - start)
        values = effect + np.sqrt(parts.seeds) * rng.standard_normal((count, seeds, 1))
        values = values + np.sqrt(parts.videos) * rng.standard_normal((count, 1, videos))
        values = values + np.sqrt(parts.rest) * rng.standard_normal((count, seeds, videos))
        error, freedom = _errors(values)
        mean = values.mean(axis=(-2, -1))
        sure = np.abs(mean) > stats.t.ppf(1 - design.level / 2, freedom) * error
        found += int((sure & ((mean > 0) | (effect == 0))).sum())
    return found / design.simulations


def detectable(parts: Components, wanted: float, design: Design) -> float:
    """The smallest effect that is found with the wanted power, to a hundredth of itself."""
    low, high = 0.0, max(1e-6, np.sqrt(parts.seeds + parts.videos + parts.rest))
    while power(parts, high, design) < wanted:
        low, high = high, 2 * high
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power(parts, middle, design) >= wanted else (middle, high)
    return float(high)


MOST = 64  # seeds, or times the videos, that are thought of


def needed(
    parts: Components, effect: float, wanted: float, design: Design
) -> tuple[int | None, int | None]:
    """Seeds (with as many videos), and videos (with as many seeds), that reach the wanted power; None: none near."""
    seeds = next(
        (
            count
            for count in range(design.seeds, MOST + 1)
            if power(parts, effect, _with(design, seeds=count)) >= wanted
        ),
        None,
    )
    factors = [2 ** (step / 2) for step in range(13)]
    counts = [round(design.videos * factor) for factor in factors if factor <= MOST]
    videos = next(
        (count for count in counts if power(parts, effect, _with(design, videos=count)) >= wanted),
        None,
    )
    return seeds, videos


def _with(design: Design, **changes: int) -> Design:
    few = min(design.simulations, 500)  # a search needs no third digit
    return Design(**{**vars(design), "simulations": few, **changes})
