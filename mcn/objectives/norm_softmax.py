"""Normalised softmax, also symmetric InfoNCE (van den Oord et al. 2018; `ninatu/everything_at_once`).

    L = -1/B sum_i log softmax_j(s_ij / t)_i  -1/B sum_j log softmax_i(s_ij / t)_j,   t = 0.05

for cosine similarities s; the two directions are summed.
"""

from __future__ import annotations

from torch import Tensor

from mcn.objectives.similarity import both_directions, square


def norm_softmax(similarity: Tensor, temperature: float = 0.05) -> Tensor:
    """(B, B) cosine similarities, true pairs on the diagonal -> scalar; temperature <= 0: ValueError."""
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    return both_directions(square(similarity) / temperature)
