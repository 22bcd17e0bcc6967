"""Everything at Once: normalised softmax over single and joined modalities (Shvetsova et al. 2022; released loss/).

    L = sum_p w_p NormSoftmax_p / sum_p w_p,   p in (t,v) (t,a) (v,a) (t,va) (v,ta) (a,tv),   w = 1, .1, .1, .1, .1, .1

- Joined modalities go through the fusion transformer together (`mcn.networks.everything_at_once`, or
  `mcn.networks.fusion` under `variant: ours`); similarities are cosines.
- A pair is contrasted among the clips that have all modalities of both its sides; a pair that no clip has weighs
  nothing, as released.
- Sound that is moved by half a window, so that it is not what the text says, and clips around moments drawn at random
  are matters of the clips: `training.sound_shift_seconds`, `training.sampling: moments`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from mcn.networks import EmbeddingNetwork, EverythingAtOnceNetwork, FusionNetwork
from mcn.objectives.norm_softmax import norm_softmax
from mcn.objectives.objective import Objective, Setting, StepInputs, similarity_loss
from mcn.options.clip_parts import EverythingAtOnceOptions

LETTERS = {"t": "text", "v": "video", "a": "audio"}
SIDES = ("t", "v", "a", "tv", "ta", "va")


class EverythingAtOnceObjective(Objective):
    """Weighted mean over pairs of sides, a side being one or two modalities."""

    def __init__(self, options: EverythingAtOnceOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        self.weights = {name: weight for name, weight in options.weights if weight}
        self.masked = options.same_video == "masked"
        self.temperature = options.temperature

    def embed(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        """(N, d) of every side."""
        assert isinstance(network, (FusionNetwork, EverythingAtOnceNetwork))
        assert inputs.units is not None
        tokens = {
            "t": network.word_tokens(inputs.words),
            "v": network.video_tokens(inputs.units),
            "a": network.audio_tokens(inputs.audio, inputs.frames),
        }
        return {
            side: network.fuse({LETTERS[letter]: tokens[letter] for letter in side})
            for side in SIDES
        }

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        loss = partial(norm_softmax, temperature=self.temperature)
        unit = {side: F.normalize(view, dim=-1) for side, view in views.items()}
        terms, weights = [], []
        for name, weight in self.weights.items():
            left, right = name.split("_")
            rows = inputs.rows_with(*(LETTERS[letter] for letter in left + right))
            if rows is None or len(rows):
                term = similarity_loss(
                    unit[left], unit[right], rows, inputs.videos, self.masked, loss
                )
                terms.append(weight * term)
                weights.append(weight)
        if not terms:
            return {"contrast": torch.stack([view.sum() for view in views.values()]).sum() * 0}
        return {"contrast": torch.stack(terms).sum() / sum(weights)}
