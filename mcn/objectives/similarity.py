"""What the objectives share: precision, and the checks of a similarity matrix."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """`values` in float32 if they are of lower precision, else as they are."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def square(similarity: Tensor) -> Tensor:
    """`similarity` in at least float32; anything but (B, B) with B >= 1: ValueError."""
    if similarity.dim() != 2 or similarity.shape[0] != similarity.shape[1] or not len(similarity):
        raise ValueError(f"similarity must be (B, B) with B >= 1, got {tuple(similarity.shape)}")
    return at_least_float32(similarity)


def both_directions(logits: Tensor) -> Tensor:
    """Cross-entropy of the diagonal over the rows plus the same over the columns; (B, B) -> scalar."""
    target = torch.arange(len(logits), device=logits.device)
    return F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)
