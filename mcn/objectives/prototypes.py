"""Contrast with learned prototypes, targets balanced by Sinkhorn's iteration (SwAV, Caron et al. 2020; MCN script.txt).

    z_x = P(x) / |P(x)|,   s_x = z_x C^T with unit prototypes C,   q_x = sinkhorn(s_x / e)
    L   = mean over ordered pairs (x, y), x != y, of  -1/B sum_i sum_k q_y,ik log softmax_k(s_x / t)_ik

- A modality predicts the codes of every other one (swapped prediction). Codes carry no gradient.
- P is the head of the released `--withMLP`: linear to d/8, batch norm, ReLU, linear to `prototype_width`; one for all
  modalities. t = 0.1 as released; e and the iterations are SwAV's, since the released module (`mycode.sink_pseu`) is
  missing. Prototypes do not learn in the first epoch, as released.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """(B, K) scores -> (B, K) codes: rows sum to 1 and columns to B / K as nearly as `iterations` allow."""
    log_codes = scores / epsilon
    for _ in range(iterations):
        log_codes = log_codes - log_codes.logsumexp(dim=0, keepdim=True)  # every prototype alike
        log_codes = log_codes - log_codes.logsumexp(dim=1, keepdim=True)  # every clip alike
    return log_codes.exp()


def swapped_prediction(
    scores: Mapping[str, Tensor], temperature: float, epsilon: float, iterations: int
) -> Tensor:
    """Modality -> (B, K) cosines with the prototypes -> scalar; at least two modalities."""
    codes = {
        name: sinkhorn(values.detach(), epsilon, iterations) for name, values in scores.items()
    }
    losses = [
        F.cross_entropy(scores[x] / temperature, codes[y]) for x, y in permutations(scores, 2)
    ]
    return torch.stack(losses).mean()


class Prototypes(nn.Module):
    """Projection head and prototypes: (B, d) -> (B, K) cosines."""

    def __init__(self, width: int, projection: int, clusters: int) -> None:
        super().__init__()
        hidden = max(1, width // 8)
        self.head = nn.Sequential(
            nn.Linear(width, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, projection),
        )
        self.prototypes = nn.Linear(projection, clusters, bias=False)

    def forward(self, embeddings: Tensor, frozen: bool = False) -> Tensor:
        weight = self.prototypes.weight.detach() if frozen else self.prototypes.weight
        projected = F.normalize(self.head(embeddings), dim=-1)
        return projected @ F.normalize(weight, dim=-1).t()
