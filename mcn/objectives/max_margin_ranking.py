"""Max-margin ranking with intra-video weights (Miech et al. 2019, `antoine77340/howto100m` loss.py).

    L = mean_ij w_ij [ max(0, m + s_ij - s_ii) + max(0, m + s_ij - s_jj) ]

over the whole matrix, diagonal included, as released (the diagonal adds a constant 2 m w_ii). With B videos of P clips
and hard negative rate h: w_ij = B h for two clips of one video, B (1 - h) / (B - 1) for clips of two videos; so the
pairs inside a video weigh h in total. With P = 1 every weight is 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcn.objectives.similarity import square


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
