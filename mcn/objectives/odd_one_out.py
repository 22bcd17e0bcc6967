"""Odd-one-out networks: which sequence of a clip is out of order? (Fernando et al. 2017, O3N, section 3).

    L = mean over clips of -log p(odd | e_1 .. e_N),   e_n: last context of the rows of sequence n, as they were put

- Of every clip N sequences of `rows` rows are drawn, each in the order of time; one of them, drawn too, is put into an
  order that is neither that of time nor its reverse where there is such a one. A clip of fewer rows takes no part.
- A GRU reads each sequence's latents (the paper sums or stacks differences of pictures); the answer is a network with
  one hidden layer over all N side by side, one of the paper's two ways of joining them.
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
from mcn.options.pretexts import OddOneOutOptions

NONE = -1  # of clips that are too short


def draw_questions(
    there: np.ndarray, sequences: int, rows: int, generator: np.random.Generator
) -> np.ndarray:
    """(N, sequences, rows + 1) int64: rows of each sequence as they are put, and last 1 for the odd one, else 0.

    -1 everywhere for a clip of fewer than `rows` rows.
    """
    drawn = np.full((len(there), sequences, rows + 1), NONE, np.int64)
    for clip, length in zip(drawn, there.sum(axis=1).tolist(), strict=True):
        if length < rows:
            continue
        odd = generator.integers(sequences)
        for number, one in enumerate(clip):
            places = np.sort(generator.choice(length, rows, replace=False))
            one[:rows] = shuffled(places, generator) if number == odd else places
            one[rows] = number == odd
    return drawn


def shuffled(places: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Rows in another order than that of time and, of three rows and more, than its reverse."""
    while True:
        found = generator.permutation(places)
        backwards = len(places) > 2 and (found == places[::-1]).all()
        if not (found == places).all() and not backwards:
            return found


class OddOneOutObjective(SequenceObjective):
    """As many answers as there are sequences."""

    options: OddOneOutOptions

    def __init__(self, options: OddOneOutOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        self.heads["answer"] = nn.Sequential(
            nn.Linear(options.sequences * setting.width, options.hidden_width),
            nn.ReLU(),
            nn.Linear(options.hidden_width, options.sequences),
        )

    def draw(self, there: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(N, sequences, rows + 1)."""
        return draw_questions(there, self.options.sequences, self.options.rows, generator)

    def embed(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        """sequences: (N, sequences, d), of clips that are too short those of their first row."""
        assert inputs.drawn is not None
        trained = self.sequences(network)
        latents = trained.latents(self.rows(inputs))
        places = inputs.drawn[:, :, :-1].clamp(min=0)
        put = torch.stack([one[place] for one, place in zip(latents, places, strict=True)])
        flat = put.flatten(0, 1)
        everywhere = torch.ones(flat.shape[:2], dtype=torch.bool, device=flat.device)
        last = trained.contexts(flat, everywhere)[:, -1]
        return {"sequences": last.unflatten(0, put.shape[:2])}

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        assert inputs.drawn is not None
        usable = inputs.drawn[:, 0, 0] != NONE
        if not usable.any():
            return {"odd": without_any(views)}
        logits = self.heads["answer"](views["sequences"][usable].flatten(1))
        target = inputs.drawn[usable][:, :, -1].argmax(dim=1)
        return {"odd": F.cross_entropy(logits, target)}
