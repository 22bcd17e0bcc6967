"""Exact dynamic programmes that place the ordered steps of a task in the seconds of a video.

Conventions
-----------
- `scores` is (T, K), finite: how well second t fits step k; higher is better. A second without a step is background
  and adds zero. Nothing but the order of the steps is given.
- exactly one (CrossTask's and MCN's protocol): every step takes exactly one second, t_1 < ... < t_K, maximising the sum
  of scores[t_k, k]. Adding a constant to a step's column changes nothing.
- one or more (`exactly_one=False`): every step takes one or more consecutive seconds, next to the step before it or
  after background; the sum runs over all seconds of steps.
- Both are exact for every T >= K, T = K included (where the published Cython code fails); T < K has no solution:
  ValueError. NaN and infinite scores: ValueError.
- Ties: of equally good solutions the one whose last step is earliest, then the step before it, and so on; with
  one or more seconds a step, seconds that add nothing are left to the background.

Source: Zhukov et al. 2019 (CrossTask); the recurrence over t_k - k below is this project's own.
"""

from __future__ import annotations

import numpy as np


def decode_steps(scores: np.ndarray, exactly_one: bool = True) -> np.ndarray:
    """Best ordered placement of K steps in T seconds: (T, K) uint8, 1 where second t belongs to step k.

    >>> decode_steps(np.array([[0.0, 9.0], [1.0, 0.0], [0.0, 2.0]])).tolist()
    [[0, 0], [1, 0], [0, 1]]
    """
    scores = np.asarray(scores, np.float64)
    validate_scores(scores)
    placed = np.zeros(scores.shape, np.uint8)
    if exactly_one:
        placed[step_seconds(scores[None])[0], np.arange(scores.shape[1])] = 1
        return placed
    states = _best_states(scores)
    in_step = states % 2 == 1
    placed[np.flatnonzero(in_step), states[in_step] // 2] = 1
    return placed


def validate_scores(scores: np.ndarray) -> None:
    """Raise ValueError unless `scores` is a finite (T, K) matrix with T >= K >= 1."""
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"got scores of shape {scores.shape}, wanted (seconds, steps)")
    seconds, steps = scores.shape
    if seconds < steps:
        raise ValueError(
            f"got {seconds} seconds for {steps} steps, wanted at least one second a step "
            "(are the axes swapped?)"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"got {int((~np.isfinite(scores)).sum())} NaN or infinite scores")


def step_seconds(scores: np.ndarray) -> np.ndarray:
    """Second of every step, one second each: (B, T, K) valid scores -> (B, K) increasing int64.

    With j_k = t_k - k the order t_1 < ... < t_K reads j_1 <= ... <= j_K, every j in 0..T-K: the best prefix is a
    running maximum, and no unreachable state exists.
    """
    batch, seconds, steps = scores.shape
    slack = seconds - steps + 1
    offsets = np.arange(slack)
    # earliest offset of the best prefix up to each offset
    argbest = np.empty((steps, batch, slack), np.int64)
    prefix = np.zeros((batch, slack))
    for k in range(steps):
        value = prefix + scores[:, k : k + slack, k]
        prefix = np.maximum.accumulate(value, axis=1)
        improved = np.ones(value.shape, bool)
        improved[:, 1:] = value[:, 1:] > prefix[:, :-1]
        argbest[k] = np.maximum.accumulate(np.where(improved, offsets, 0), axis=1)
    chosen = np.empty((batch, steps), np.int64)
    offset = np.full(batch, slack - 1)
    for k in reversed(range(steps)):
        offset = argbest[k, np.arange(batch), offset]
        chosen[:, k] = offset + k
    return chosen


def _best_states(scores: np.ndarray) -> np.ndarray:
    """State of every second (T,): 2k is background after k steps, 2k + 1 is step k (0-based).

    From one second to the next a state stays, goes on by one, or by two from one step into the next.
    """
    seconds, steps = scores.shape
    gain = np.zeros((seconds, 2 * steps + 1))
    gain[:, 1::2] = scores
    is_step = np.arange(2 * steps + 1) % 2 == 1
    # moves in order of preference where equally good: background stays, a step ends
    moves = np.where(is_step, np.array([[2], [1], [0]]), np.array([[0], [1], [1]]))
    came = np.maximum(np.arange(2 * steps + 1) - moves, 0)
    impossible = np.arange(2 * steps + 1) - moves < 0
    value = np.full(2 * steps + 1, -np.inf)
    value[:2] = gain[0, :2]
    taken = np.zeros(gain.shape, np.int64)
    for t in range(1, seconds):
        candidates = np.where(impossible, -np.inf, value[came])
        choice = candidates.argmax(axis=0)
        taken[t] = np.take_along_axis(moves, choice[None], 0)[0]
        value = np.take_along_axis(candidates, choice[None], 0)[0] + gain[t]
    states = np.empty(seconds, np.int64)
    state = 2 * steps if value[-1] >= value[-2] else 2 * steps - 1
    for t in reversed(range(seconds)):
        states[t] = state
        state -= taken[t, state]
    return states
