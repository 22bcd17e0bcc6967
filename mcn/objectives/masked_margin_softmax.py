"""Masked margin softmax (Ilharco et al. 2019; MCN equation 3; released in AVLnet and MCN, loss.py).

    L = -1/B sum_i log( e^(s_ii - m) / (e^(s_ii - m) + sum_{k != i} e^(s_ki)) )
        -1/B sum_i log( e^(s_ii - m) / (e^(s_ii - m) + sum_{j != i} e^(s_ij)) )

m is a constant 0.001 as published, no temperature; a margin that grows is the caller's to pass.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcn.objectives.similarity import both_directions, square


def masked_margin_softmax(similarity: Tensor, margin: float = 0.001) -> Tensor:
    """(B, B) similarities of item i in one modality and item j in another, true pairs on the diagonal -> scalar."""
    logits = square(similarity)
    identity = torch.eye(len(logits), dtype=logits.dtype, device=logits.device)
    return both_directions(logits - margin * identity)
