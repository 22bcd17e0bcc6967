"""MIL-NCE as an objective: a clip against the texts around it (Miech et al. 2020).

    L = mil_nce(x),   x_ijc = v_i . t_jc,   t_j0 the text of clip j, t_j1.. the nearest lines beside it

- Dot products as they are, as released; `model.normalize: true` is the MIL-NCE* of MCN's tables, on the same features.
- A candidate that is not there (near the ends of a video, in short ones) has similarity -infinity.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mcn.networks import MultimodalClusteringNetwork
from mcn.objectives.mil_nce import mil_nce
from mcn.objectives.objective import Objective, Setting
from mcn.objectives.pairs import without_same_video
from mcn.objectives.step_inputs import StepInputs
from mcn.options.objectives import MilNceOptions


class MilNceObjective(Objective):
    """Clips against candidate texts."""

    def __init__(self, options: MilNceOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        self.masked = options.same_video == "masked"

    def embed(self, network: MultimodalClusteringNetwork, inputs: StepInputs) -> dict[str, Tensor]:
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
