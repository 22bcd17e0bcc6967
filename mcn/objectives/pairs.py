"""Similarities of two modalities of a batch, without what a policy leaves out.

Conventions
-----------
- Pairs that lack a modality are not in the matrix: only clips that have both are rows and columns.
- A pair of two clips of one video under `same_video: masked` has similarity -infinity: it is no negative, and no
  gradient flows. The diagonal stays.
- A term without a pair (no clip has both modalities) is 0 with gradient 0.
- A false sound is that of the clip of the same place in the video before (`elsewhere`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mcn.objectives.objective import Objective, Setting, StepInputs, at_least_float32
from mcn.options.objectives.base import ContrastOptions


def square(similarity: Tensor) -> Tensor:
    """`similarity` in at least float32; anything but (B, B) with B >= 1: ValueError."""
    if similarity.dim() != 2 or similarity.shape[0] != similarity.shape[1] or not len(similarity):
        raise ValueError(f"similarity must be (B, B) with B >= 1, got {tuple(similarity.shape)}")
    return at_least_float32(similarity)


def both_directions(logits: Tensor) -> Tensor:
    """Cross-entropy of the diagonal over the rows plus the same over the columns; (B, B) -> scalar."""
    target = torch.arange(len(logits), device=logits.device)
    return F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)


def without_same_video(similarity: Tensor, videos: Tensor) -> Tensor:
    """(R, R, ...) similarities with -infinity for two clips of one video; videos (R,): where each clip is from."""
    same = videos.unsqueeze(0) == videos.unsqueeze(1)
    same = same & ~torch.eye(len(videos), dtype=torch.bool, device=videos.device)
    return similarity.masked_fill(same.view(*same.shape, *[1] * (similarity.dim() - 2)), -torch.inf)


def similarity_loss(
    left: Tensor,
    right: Tensor,
    rows: Tensor | None,
    videos: Tensor,
    masked: bool,
    loss: Callable[[Tensor], Tensor],
) -> Tensor:
    """`loss` of the (R, R) dot products of (N, d) and (N, d); rows (R,): clips that count, None: all N."""
    if rows is not None:
        if not len(rows):
            return (left.sum() + right.sum()) * 0
        left, right, videos = left[rows], right[rows], videos[rows]
    similarity = left @ right.t()
    return loss(without_same_video(similarity, videos) if masked else similarity)


def pair_loss(
    views: Mapping[str, Tensor],
    pair: str,
    inputs: StepInputs,
    masked: bool,
    loss: Callable[[Tensor], Tensor],
) -> Tensor:
    """`similarity_loss` of the two modalities that `pair` names, joined by `_`."""
    left, right = pair.split("_")
    rows = inputs.rows_with(left, right)
    return similarity_loss(views[left], views[right], rows, inputs.videos, masked, loss)


class PairObjective(Objective):
    """Sum over pairs of modalities of one loss of their (R, R) similarities: `loss` of a subclass."""

    def __init__(self, options: ContrastOptions, setting: Setting, pairs: tuple[str, ...]) -> None:
        super().__init__(options, setting)
        self.masked, self.pairs = options.same_video == "masked", pairs

    def loss(self, similarity: Tensor) -> Tensor:
        """(R, R) -> scalar."""
        raise NotImplementedError

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        terms = [pair_loss(views, pair, inputs, self.masked, self.loss) for pair in self.pairs]
        return {"contrast": torch.stack(terms).sum()}


def distances(left: Tensor, right: Tensor) -> Tensor:
    """(R, d), (R, d) -> (R,) Euclidean distances, with a gradient of 0 where they are equal."""
    squared = (left - right).square().sum(dim=1)
    equal = squared == 0
    return squared.masked_fill(equal, 1.0).sqrt().masked_fill(equal, 0.0)


def elsewhere(audio: Tensor, clips_per_video: int) -> Tensor:
    """(N, d) -> (N, d): for every clip the sound of the clip of the same place in the video before it."""
    return audio.roll(clips_per_video, dims=0)


def true_rows(inputs: StepInputs) -> Tensor:
    """Indices of the clips that have pictures and sound."""
    rows = inputs.rows_with("video", "audio")
    return torch.arange(len(inputs.video), device=inputs.video.device) if rows is None else rows


def false_rows(inputs: StepInputs) -> Tensor:
    """Indices of the clips that have pictures and sound, and whose sound `elsewhere` is of another video and there."""
    rows, heard = true_rows(inputs), inputs.rows_with("audio")
    if len(inputs.video) <= inputs.clips_per_video:
        return rows[:0]
    if heard is None:
        return rows
    before = torch.arange(len(inputs.video), device=rows.device).roll(inputs.clips_per_video)
    return rows[torch.isin(before[rows], heard)]
