"""CPC: contrastive predictive coding (van den Oord, Li and Vinyals 2018, equations 2 to 4).

    L = 1/K sum_k mean_{i,t} -log( e^(z_{i,t+k}.W_k c_{i,t}) / sum_{n in X} e^(z_n.W_k c_{i,t}) ),   k = 1 .. K

- z: latents of rows, c: contexts, a GRU over the latents up to row t, W_k a matrix of its own for every k; no bias, no
  temperature, no normalisation, as published.
- X holds the true latent and its negatives: the latents of other clips of the step at row t + k, of other rows of the
  same clip, or both (`negatives`). Which is our reading: the paper draws them from the batch.
- A pair (i, t) takes part for every k for which row t + k is there. The mean is over pairs, then over k that have any.
- The encoder of the paper is trained on samples and pixels; here it is the frozen encoder of the feature with two
  trained layers behind it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.networks.embedding import EmbeddingNetwork
from mcn.objectives.objective import Setting, StepInputs
from mcn.objectives.sequences import SequenceObjective, without_any
from mcn.options.pretexts import CpcOptions


def info_nce(
    predicted: Tensor, latents: Tensor, there: Tensor, ahead: int, negatives: str = "both"
) -> Tensor:
    """Mean cross-entropy of the latent `ahead` rows later; (0,) instead of a scalar where no clip has that many rows.

    predicted (N, F, d): W_k c; latents (N, F, d); there (N, F) bool. negatives: clips, times or both.
    """
    count, rows = there.shape
    if rows <= ahead or not there[:, ahead:].any():
        return predicted.new_zeros(0)
    pairs = there[:, : rows - ahead] & there[:, ahead:]  # (N, T)
    predicted, wanted = predicted[:, : rows - ahead], latents[:, ahead:]
    place = torch.arange(rows - ahead, device=there.device) + ahead
    parts, target = [], place.expand(count, -1)
    if negatives in ("clips", "both"):
        clips = torch.einsum("itd,jtd->itj", predicted, wanted)
        parts.append(clips.masked_fill(~there[:, ahead:].t().unsqueeze(0), -torch.inf))
        target = torch.arange(count, device=there.device).unsqueeze(1).expand(-1, rows - ahead)
    if negatives in ("times", "both"):
        times = torch.einsum("itd,isd->its", predicted, latents)
        left_out = ~there.unsqueeze(1)
        if parts:  # the true one is among the clips already
            left_out = left_out | F.one_hot(place, rows).bool()
        parts.append(times.masked_fill(left_out, -torch.inf))
    return F.cross_entropy(torch.cat(parts, dim=2)[pairs], target[pairs])


class CpcObjective(SequenceObjective):
    """A cross-entropy for each number of rows ahead, averaged."""

    options: CpcOptions

    def __init__(self, options: CpcOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        for ahead in range(1, options.predicted_rows + 1):
            self.heads[f"ahead_{ahead}"] = nn.Linear(setting.width, setting.width, bias=False)

    def embed(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        """latents, contexts: (N, F, d)."""
        sequences, there = self.sequences(network), self.there(inputs)
        latents = sequences.latents(self.rows(inputs))
        return {"latents": latents, "contexts": sequences.contexts(latents, there)}

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        there, found = self.there(inputs), []
        for ahead in range(1, self.options.predicted_rows + 1):
            predicted = self.heads[f"ahead_{ahead}"](views["contexts"])
            loss = info_nce(predicted, views["latents"], there, ahead, self.options.negatives)
            if loss.dim() == 0:
                found.append(loss)
        return {"prediction": torch.stack(found).mean() if found else without_any(views)}
