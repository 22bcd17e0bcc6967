"""Max-margin ranking with weights inside a video (Miech et al. 2019; `antoine77340/howto100m` loss.py);
"Miech HT100M" in the tables.

    L = sum over pairs of modalities of R(X Y^T),   X, Y of unit length
    R = mean_ij w_ij [ max(0, m + s_ij - s_ii) + max(0, m + s_ij - s_jj) ]

over the whole matrix, diagonal included, as released (the diagonal adds a constant 2 m w_ii). With B videos of P clips
and hard negative rate h: w_ij = B h for two clips of one video, B (1 - h) / (B - 1) for clips of two videos; so the
pairs inside a video weigh h in total. With P = 1 every weight is 1.

Under `same_video: masked` the pairs inside a video weigh nothing and the rate no longer matters. Where clips that lack
a modality are left out, videos no longer have equally many clips, and every pair weighs alike.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcn.objectives.objective import PairObjective, Setting, square
from mcn.options.contrast import MaxMarginOptions


def max_margin_ranking(
    similarity: Tensor,
    clips_per_video: int = 1,
    margin: float = 0.1,
    hard_negative_rate: float = 0.5,
) -> Tensor:
    """(N, N) similarities -> scalar; the `clips_per_video` clips of a video lie side by side.

    N not a multiple of clips_per_video: ValueError.
    """
    scores = square(similarity)
    diagonal = scores.diagonal()
    hinge = (margin + scores - diagonal.unsqueeze(1)).relu()
    hinge = hinge + (margin + scores - diagonal.unsqueeze(0)).relu()
    if clips_per_video == 1:
        return hinge.mean()
    videos, rest = divmod(len(scores), clips_per_video)
    if rest:
        raise ValueError(f"{len(scores)} clips do not divide into videos of {clips_per_video}")
    by_video = hinge.view(videos, clips_per_video, videos, clips_per_video).mean(dim=(1, 3))
    return (by_video * video_weights(videos, hard_negative_rate).to(by_video)).mean()


def video_weights(videos: int, hard_negative_rate: float) -> Tensor:
    """(videos, videos) float64 weights: diagonal for clips of one video, the rest for clips of two."""
    other = videos * (1 - hard_negative_rate) / max(1, videos - 1)  # one video alone has no others
    weights = torch.full((videos, videos), other, dtype=torch.float64)
    return weights.fill_diagonal_(videos * hard_negative_rate)


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
