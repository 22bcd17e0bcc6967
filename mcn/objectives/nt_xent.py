"""NT-Xent (SimCLR, Chen et al. 2020) between two views of every clip.

    l_i = -log( e^(z_i.z_i' / t) / sum_{k != i} e^(z_i.z_k / t) ),   L = mean over the 2 N views,   z of unit length

- i' is the other view of i; the 2 N - 2 views of other clips are its negatives, of both kinds.
- Views: two windows of one video in one modality, or two modalities of one clip; a sum over `views`. A two-layer head
  of its own for every modality comes before the loss unless `projection_width` is null (t = 0.1 and width 128 are
  recalled; LARS and image augmentation have no counterpart on features).
- Under `same_video: masked` views of other clips of the same video are no negatives.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.networks import EmbeddingNetwork
from mcn.objectives.objective import Objective, Setting, StepInputs, at_least_float32, embed_clips
from mcn.options.contrast import NtXentOptions

SECOND = "second "


def nt_xent(
    first: Tensor, second: Tensor, temperature: float = 0.1, videos: Tensor | None = None
) -> Tensor:
    """(B, d) and (B, d) of unit length, true pairs at equal rows -> scalar.

    videos: (B,) where each clip is from: clips of one video are then no negatives of each other. Shapes that differ,
    B = 0, temperature <= 0: ValueError.
    """
    if first.shape != second.shape or first.dim() != 2 or not len(first):
        raise ValueError(f"two (B, d) with B >= 1, got {tuple(first.shape)}, {tuple(second.shape)}")
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    both = at_least_float32(torch.cat([first, second]))
    logits = both @ both.t() / temperature
    count = len(first)
    index = torch.arange(2 * count, device=both.device)
    target = index.roll(count)
    left_out = index.unsqueeze(0) == index.unsqueeze(1)
    if videos is not None:
        of_view = videos.repeat(2)
        same = of_view.unsqueeze(0) == of_view.unsqueeze(1)
        left_out = left_out | (same & (index.unsqueeze(0) != target.unsqueeze(1)))
    return F.cross_entropy(logits.masked_fill(left_out, -torch.inf), target)


class NtXentObjective(Objective):
    """A sum over pairs of views."""

    def __init__(self, options: NtXentOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        self.twice = tuple(name for name in self.modalities if f"{name}_{name}" in options.views)
        if options.projection_width is not None:
            for name in self.modalities:
                self.heads[name] = nn.Sequential(
                    nn.Linear(setting.width, setting.width),
                    nn.ReLU(),
                    nn.Linear(setting.width, options.projection_width),
                )

    def embed(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        """(N, d) by modality, and `second X` of the other windows."""
        views = super().embed(network, inputs)
        if self.twice:
            assert inputs.second is not None
            others = embed_clips(network, inputs.second, self.twice)
            views |= {SECOND + name: view for name, view in others.items()}
        return views

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        terms = []
        for pair in self.options.views:
            left, right = pair.split("_")
            rows = inputs.rows_with(left, right)
            if left == right and inputs.second is not None:
                rows = _common(rows, inputs.second.rows_with(right))
            other = SECOND + right if left == right else right
            take = slice(None) if rows is None else rows
            first, second = (
                self._project(left, views[left][take]),
                self._project(right, views[other][take]),
            )
            if not len(first):
                terms.append((views[left].sum() + views[other].sum()) * 0)
                continue
            masked = self.options.same_video == "masked"
            videos = inputs.videos[take] if masked else None
            terms.append(nt_xent(first, second, self.options.temperature, videos))
        return {"contrast": torch.stack(terms).sum()}

    def _project(self, modality: str, embeddings: Tensor) -> Tensor:
        head = self.heads[modality](embeddings) if modality in self.heads else embeddings
        return F.normalize(head, dim=-1)


def _common(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    """Indices in both; None stands for all."""
    if left is None or right is None:
        return right if left is None else left
    return left[torch.isin(left, right)]
