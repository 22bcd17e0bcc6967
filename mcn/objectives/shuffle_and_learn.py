"""Shuffle and learn: are three rows of a clip in the order of time? (Misra, Zitnick and Hebert 2016, section 3).

    L = mean over questions of the cross-entropy of two answers,  s(z_x, z_y, z_w) in R^2

- Of every clip five rows a < b < c < d < e are drawn, `tuples` times. In order: (b, c, d). Out of order: (b, a, d) and
  (b, e, d), so that the answer cannot be read from the first and the last row. A clip of fewer than five rows takes no
  part.
- s: one hidden layer over the three latents side by side. The paper has a linear map there, behind a network of
  pictures that it trains; over frozen features a linear map cannot compare two rows with each other. Its choice of
  windows with much motion is left out: the features tell no motion.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.networks.embedding import EmbeddingNetwork
from mcn.objectives.objective import Setting, StepInputs
from mcn.objectives.sequences import SequenceObjective, without_any
from mcn.options.pretexts import ShuffleAndLearnOptions

DRAWN = 5  # rows a, b, c, d, e
QUESTIONS = ((1, 2, 3), (1, 0, 3), (1, 4, 3))  # places among them; the first is in order
NONE = -1  # of clips that are too short


def draw_places(there: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Rows of clips, (N, count, 5) int64 in the order of time; -1 for a clip of fewer than five rows."""
    places = np.full((len(there), count, DRAWN), NONE, np.int64)
    for clip, length in zip(places, there.sum(axis=1).tolist(), strict=True):
        if length >= DRAWN:
            for one in clip:
                one[:] = np.sort(generator.choice(length, DRAWN, replace=False))
    return places


class ShuffleAndLearnObjective(SequenceObjective):
    """Two answers to every three rows."""

    options: ShuffleAndLearnOptions

    def __init__(self, options: ShuffleAndLearnOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        self.heads["answer"] = nn.Sequential(
            nn.Linear(3 * setting.width, options.hidden_width),
            nn.ReLU(),
            nn.Linear(options.hidden_width, 2),
        )

    def draw(self, there: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(N, tuples, 5)."""
        return draw_places(there, self.options.tuples, generator)

    def embed(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        """latents: (N, F, d)."""
        return {"latents": self.sequences(network).latents(self.rows(inputs))}

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        assert inputs.drawn is not None
        usable = inputs.drawn[:, 0, 0] != NONE
        if not usable.any():
            return {"order": without_any(views)}
        latents, places = views["latents"][usable], inputs.drawn[usable]
        drawn = torch.stack([one[place] for one, place in zip(latents, places, strict=True)])
        questions = torch.stack([drawn[:, :, list(one)] for one in QUESTIONS], dim=2)
        logits = self.heads["answer"](questions.flatten(-2)).flatten(0, -2)
        in_order = torch.arange(len(QUESTIONS), device=logits.device) == 0
        target = in_order.long().repeat(len(logits) // len(QUESTIONS))
        return {"order": F.cross_entropy(logits, target)}
