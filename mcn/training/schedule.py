"""Learning rate of a step: linear warm-up, then half a cosine to 0 (MCN train_tri_kmeans.py:49-61).

    lr(step) = peak * step / warmup                                            step < warmup
               peak * (1 + cos(pi * (step - warmup) / (total - warmup))) / 2   otherwise

Steps count from 0 over the whole run, so the first step of a warm-up has rate 0, as released. Nothing is remembered
between steps: a resumed run needs the step alone.
"""

from __future__ import annotations

import math

from mcn.errors import UserError


def learning_rate(step: int, total: int, peak: float, warmup: int) -> float:
    """Rate of step `step` of `total`; ValueError outside 0 <= step < total."""
    if not 0 <= step < total:
        raise ValueError(f"step {step} of {total}")
    if step < warmup:
        return peak * step / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def check_warmup(total: int, warmup: int) -> None:
    """`UserError` where the run would end inside its warm-up, as a small set under the published 5000 steps would."""
    if warmup >= total:
        raise UserError(
            f"training.warmup_steps is {warmup}, and the whole run has {total} steps",
            "a warm-up shorter than the run",
            f"set training.warmup_steps to about {max(1, total // 10)}, or raise training.epochs",
        )
