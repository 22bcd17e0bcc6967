"""Normalised softmax as an objective: symmetric InfoNCE over pairs of modalities.

L = sum over pairs of norm_softmax(X Y^T / t),   X, Y of unit length, t = 0.05 (`ninatu/everything_at_once`)
"""

from __future__ import annotations

from torch import Tensor

from mcn.objectives.norm_softmax import norm_softmax
from mcn.objectives.objective import Setting
from mcn.objectives.pairs import PairObjective
from mcn.options.objectives import NormSoftmaxOptions


class NormSoftmaxObjective(PairObjective):
    """Cross-entropies over pairs of modalities."""

    def __init__(self, options: NormSoftmaxOptions, setting: Setting) -> None:
        super().__init__(options, setting, options.pairs)
        self.temperature = options.temperature

    def loss(self, similarity: Tensor) -> Tensor:
        return norm_softmax(similarity, self.temperature)
