"""Texts for a network that learned from one modality: a linear map fitted on the training set, in closed form.

    M = (sum_i t_i t_i^T + n r I)^-1 sum_i t_i v_i^T,    v_i = unit(c_i - mean c),   t_i = text_i - mean text

Conventions
-----------
- c_i (d,): mean of the contexts of the rows of training clip i; text_i: its narration, of unit length. The clips are
  those around narration lines of the epoch behind the last, at most `MOST_CLIPS`; r is `RIDGE`.
- Sums are float64: the map follows from the network, the seed and the data. Nothing of the training is touched.
- Clips without a known word or a row are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from mcn.errors import UserError
from mcn.layout import ModelShards
from mcn.networks import SequenceNetwork
from mcn.networks.sequences import mean_of_text
from mcn.options.objectives import Needs
from mcn.options.training import ExperimentOptions
from mcn.training.data import TrainingSet
from mcn.training.step import Trainer

RIDGE = 0.01  # beside the mean of t t^T, whose trace is at most 1
MOST_CLIPS = 20_000


class TextMap:
    """Fits the map of a network. shards: of the features of the experiment, narration among them.

    Errors: `UserError` where no clip has both words and rows.
    """

    def __init__(self, options: ExperimentOptions, shards: ModelShards) -> None:
        self.trained = options.needs.modalities
        needs = Needs((*self.trained, "text"), rows=self.trained)
        self.data = TrainingSet(shards, options.training, needs)
        self.epoch = options.training.epochs

    @torch.no_grad()
    def fit(self, trainer: Trainer) -> None:
        """Give the network its centres and its map."""
        network = trainer.network
        assert isinstance(network, SequenceNetwork)
        was_training = network.training
        network.eval()
        found = list(self._clips(network, trainer))
        network.train(was_training)
        contexts, texts = (torch.cat(one).double() for one in zip(*found, strict=True))
        if not len(texts):
            got = "no training clip with words and rows"
            raise UserError(got, "one at least", "set model.text: null, or give narration")
        centre, text_centre = contexts.mean(dim=0), texts.mean(dim=0)
        seen, said = F.normalize(contexts - centre, dim=1), texts - text_centre
        ridge = len(said) * RIDGE * torch.eye(said.shape[1], dtype=said.dtype, device=said.device)
        network.text_map.copy_(torch.linalg.solve(said.t() @ said + ridge, said.t() @ seen))
        network.text_centre.copy_(text_centre)
        network.centre.copy_(centre)

    def _clips(self, network: SequenceNetwork, trainer: Trainer) -> Iterator[tuple[Tensor, Tensor]]:
        """Mean contexts (n, d) and texts (n, word_width) of the clips of every step."""
        (modality,), clips = self.trained, 0
        for step in range(self.data.steps_per_epoch):
            if clips >= MOST_CLIPS:
                return
            inputs = trainer.inputs(self.data.batch(self.epoch, step), mask_absent=True)
            usable = inputs.rows_with(modality, "text")
            take = slice(None) if usable is None else usable
            rows = inputs.video if modality == "video" else inputs.audio
            clips += len(rows)
            yield network.mean_contexts(rows[take]), mean_of_text(inputs.words[take])
