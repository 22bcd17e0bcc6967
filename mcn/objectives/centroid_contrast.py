"""Contrast of embeddings with cluster centroids (MCN equation 6; released train_tri_kmeans.py).

With y_i the cluster of item i and m the margin:

    paper:     L = -1/B sum_i [ x_i.mu_{y_i} - m - log sum_k e^(x_i.mu_k) ]
    released:  L = -1/B sum_i [ x_i.mu_{y_i} - m - log( e^(x_i.mu_{y_i} - m) + sum_{k != y_i} e^(x_i.mu_k) ) ]

In the paper's form the margin only adds the constant m: it has no gradient. Centroids carry no gradient in either.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mcn.objectives.similarity import at_least_float32


def centroid_contrast(
    embeddings: Tensor,
    centroids: Tensor,
    assignments: Tensor,
    margin: float = 0.001,
    margin_in_denominator: bool = True,
) -> Tensor:
    """(B, D) embeddings of one modality, (K, D) centroids, (B,) cluster of each item -> scalar.

    margin_in_denominator: the released form; False: the paper's. The products are taken in float32 also under autocast.
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        x = at_least_float32(embeddings)
        logits = x @ centroids.detach().to(x).t()
        if not margin_in_denominator:
            return F.cross_entropy(logits, assignments) + margin
        target = F.one_hot(assignments, len(centroids)).to(logits)
        return F.cross_entropy(logits - margin * target, assignments)
