"""Max-margin ranking as an objective (Miech et al. 2019; HowTo100M loss.py): the row "Miech HT100M" of the tables.

    L = sum over pairs of modalities of max_margin_ranking(X Y^T),   X, Y of unit length

Pairs inside a video weigh `hard_negative_rate` in total (`mcn.objectives.max_margin_ranking`); under `same_video:
masked` they weigh nothing and the rate no longer matters. Where clips that lack a modality are left out, videos no
longer have equally many clips, and every pair weighs alike.
"""

from __future__ import annotations

from torch import Tensor

from mcn.objectives.max_margin_ranking import max_margin_ranking
from mcn.objectives.objective import Setting
from mcn.objectives.pairs import PairObjective
from mcn.options.objectives import MaxMarginOptions


class MaxMarginObjective(PairObjective):
    """Hinges over pairs of modalities."""

    options: MaxMarginOptions

    def __init__(self, options: MaxMarginOptions, setting: Setting) -> None:
        super().__init__(options, setting, options.pairs)

    def loss(self, similarity: Tensor) -> Tensor:
        weighted = not self.masked and len(similarity) == self.setting.clips
        clips = self.setting.clips_per_video if weighted else 1
        return max_margin_ranking(
            similarity, clips, self.options.margin, self.options.hard_negative_rate
        )
