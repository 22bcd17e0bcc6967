"""Which videos and which narration lines a training step sees.

Conventions
-----------
- Everything follows from (seed, epoch, step): nothing is carried from step to step.
- Random numbers come from `numpy.random.default_rng([seed, epoch, ...])`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from mcn.errors import UserError
from mcn.options.training import TrainingOptions

logger = logging.getLogger(__name__)


def batch_size(videos: int, options: TrainingOptions) -> int:
    """Videos in a step under the policy for small sets; policy `refuse`: `UserError` where there are too few."""
    wanted = options.videos_per_batch
    if videos >= wanted or options.small_sets == "repeat":
        return wanted
    if options.small_sets == "refuse":
        raise UserError(
            f"{videos} videos to train on, and videos_per_batch is {wanted}",
            "at least one full batch",
            "lower training.videos_per_batch, or set training.small_sets to shrink or repeat",
        )
    logger.warning("batches hold all %d videos; videos_per_batch is %d", videos, wanted)
    return videos


def videos_of_step(count: int, batch: int, seed: int, epoch: int, step: int) -> np.ndarray:
    """Indices (batch,) of the videos of a step: consecutive parts of the epoch's permutation.

    A batch larger than the set holds permutation after permutation, cut to its size.
    """
    rng = np.random.default_rng([seed, epoch, 0])
    rounds = -(-batch // count)
    order = np.concatenate([rng.permutation(count) for _ in range(rounds)])
    return order[step * batch : (step + 1) * batch]


def draw_lines(
    rng: np.random.Generator, lines: int, clips: int, accept: Callable[[int], bool]
) -> tuple[list[int], int]:
    """`clips` acceptable lines, uniform and with replacement, and how many draws were in vain."""
    drawn: list[int] = []
    rejected = 0
    while len(drawn) < clips:
        for line in rng.integers(lines, size=clips - len(drawn)).tolist():
            if accept(line):
                drawn.append(line)
            else:
                rejected += 1
        if not drawn and not any(accept(line) for line in range(lines)):
            raise ValueError(f"none of {lines} lines is acceptable")
    return drawn, rejected


def draw_distinct_lines(
    rng: np.random.Generator, lines: int, clips: int, accept: Callable[[int], bool]
) -> tuple[list[int], int]:
    """`clips` acceptable lines, none twice before all have come once, and how many draws were in vain."""
    drawn: list[int] = []
    rejected = 0
    for line in rng.permutation(lines).tolist():
        if accept(line):
            drawn.append(line)
            if len(drawn) == clips:
                return drawn, rejected
        else:
            rejected += 1
    if not drawn:
        raise ValueError(f"none of {lines} lines is acceptable")
    acceptable = np.array(drawn)
    while len(drawn) < clips:
        drawn += rng.permutation(acceptable).tolist()
    return drawn[:clips], rejected
