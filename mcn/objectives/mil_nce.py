"""MIL-NCE: a clip against the texts around it (Miech et al. 2020; `antoine77340/MIL-NCE_HowTo100M` loss.py).

    L = mean_i [ logsumexp( x_i.. and x_.i. ) - logsumexp_c( x_iic ) ]

with x_ijc = v_i . t_jc, t_j0 the text of clip j and t_j1.. the nearest lines beside it.

- The denominator joins all candidates of all clips against video i (row) and the candidates of clip i against all
  videos (column); the positives x_ii. are in it twice, so that the minimum is log 2 and not 0.
- Dot products as they are, as released; `model.normalize: at_test` is the MIL-NCE* of MCN's tables, on the same
  features.
- A candidate that is not there (near the ends of a video, in short ones) has similarity -infinity.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mcn.networks import EmbeddingNetwork
from mcn.objectives.objective import (
    Objective,
    Setting,
    StepInputs,
    at_least_float32,
    without_same_video,
)
from mcn.options.contrast import MilNceOptions


def mil_nce(similarity: Tensor) -> Tensor:
    """(B, B, C): video i against candidate text c of clip j -> scalar. Another shape: ValueError."""
    if (
        similarity.dim() != 3
        or similarity.shape[0] != similarity.shape[1]
        or not similarity.numel()
    ):
        raise ValueError(f"similarity must be (B, B, C), none 0, got {tuple(similarity.shape)}")
    x = at_least_float32(similarity)
    candidates = torch.cat([x, x.transpose(0, 1)], dim=1).flatten(1)
    positives = x.diagonal(dim1=0, dim2=1).t()
    # a common shift leaves the difference as it is, and keeps it exact where logits are large
    largest = candidates.detach().amax(dim=1, keepdim=True)
    terms = (candidates - largest).logsumexp(dim=1) - (positives - largest).logsumexp(dim=1)
    return terms.mean()


class MilNceObjective(Objective):
    """Clips against candidate texts."""

    def __init__(self, options: MilNceOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        self.masked = options.same_video == "masked"

    def embed(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        """video (N, d); text (N, C, d)."""
        texts = inputs.words.unsqueeze(1) if inputs.candidates is None else inputs.candidates
        embedded = network.embed_text(texts.flatten(0, 1)).unflatten(0, texts.shape[:2])
        return {"video": network.embed_video(inputs.video), "text": embedded}

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        similarity = torch.einsum("id,jcd->ijc", views["video"], views["text"])
        if inputs.candidates_there is not None:
            similarity = similarity.masked_fill(~inputs.candidates_there, -torch.inf)
        videos, rows = inputs.videos, inputs.rows_with("video", "text")
        if rows is not None:
            if not len(rows):
                return {"contrast": (views["video"].sum() + views["text"].sum()) * 0}
            similarity, videos = similarity[rows][:, rows], videos[rows]
        if self.masked:
            similarity = without_same_video(similarity, videos)
        return {"contrast": mil_nce(similarity)}
