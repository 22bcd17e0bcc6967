"""Reconstruction of each modality's features from its embedding (MCN equation 8, sign corrected).

    L = 1/B sum_i sum_x mean_dim ( r_x(x_i) - target_x,i )^2

The paper prints a minus sign before the sum, which would diverge; the released code has the plus. The released weight
of 50 is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mcn.objectives.similarity import at_least_float32


def reconstruction(
    reconstructed: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    detach_targets: bool = False,
) -> Tensor:
    """Modality -> (B, D_modality) reconstructions, the same of targets -> scalar, summed over modalities.

    detach_targets: stop the gradient into the targets; as released it flows (into the audio network and the text
    branch). Differing modalities or shapes: ValueError.
    """
    if not reconstructed or reconstructed.keys() != targets.keys():
        raise ValueError(f"reconstructed {sorted(reconstructed)}, targets {sorted(targets)}")
    losses = []
    for modality, values in reconstructed.items():
        target = targets[modality].detach() if detach_targets else targets[modality]
        if values.shape != target.shape:
            raise ValueError(f"{modality}: {tuple(values.shape)} against {tuple(target.shape)}")
        losses.append(F.mse_loss(at_least_float32(values), at_least_float32(target)))
    return torch.stack(losses).sum()
