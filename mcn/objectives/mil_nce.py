"""MIL-NCE (Miech et al. 2020) in the form of the released code (`antoine77340/MIL-NCE_HowTo100M` loss.py).

    L = mean_i [ logsumexp( x_i.. and x_.i. ) - logsumexp_c( x_iic ) ]

The denominator joins all candidates of all clips against video i (row) and the candidates of clip i against all videos
(column); the positives x_ii. are in it twice, so that the minimum is log 2 and not 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcn.objectives.similarity import at_least_float32


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
