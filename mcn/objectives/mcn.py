"""Multimodal Clustering Networks (MCN equation 1; Chen et al. 2021; released train_tri_kmeans.py:290-381, loss.py).

    L = w_c sum_pairs MMS(X Y^T) + w_k R_x L_x(cluster) + w_r L_reconstruction

Masked margin softmax (equation 3; Ilharco et al. 2019), m a constant 0.001 as published, no temperature:

    MMS = -1/B sum_i log( e^(s_ii - m) / (e^(s_ii - m) + sum_{k != i} e^(s_ki)) )
          -1/B sum_i log( e^(s_ii - m) / (e^(s_ii - m) + sum_{j != i} e^(s_ij)) )

Contrast with cluster centroids (equation 6), y_i the cluster of item i; no gradient flows into centroids:

    paper:     L_x = -1/B sum_i [ x_i.mu_{y_i} - m - log sum_k e^(x_i.mu_k) ]
    released:  L_x = -1/B sum_i [ x_i.mu_{y_i} - m - log( e^(x_i.mu_{y_i} - m) + sum_{k != y_i} e^(x_i.mu_k) ) ]

In the paper's form the margin only adds the constant m: it has no gradient.

Reconstruction of each modality's features from its embedding (equation 8, sign corrected: the paper prints a minus sign
before the sum, which would diverge; the released code has the plus):

    L_reconstruction = 1/B sum_i sum_x mean_dim ( r_x(x_i) - target_x,i )^2

Conventions
-----------
- Pairs of modalities (`options.pairs`): text-video, audio-text, audio-video; one pair alone is the released ablation
  flags no_audio and no_video. Only modalities that occur in a pair are fused, clustered and reconstructed.
- The fused feature of clip i is the mean of the modalities that it has (equation 4), without gradient; its clusters are
  those of a running k-means (`KMeansClustering`), or learned prototypes take their place (`mcn.objectives.prototypes`).
- R is the mean or the sum over modalities, or one loss of the fused feature itself, with gradient
  (`cluster_reduction`). The released code divides by 3 even with two modalities (`cluster_mean_over: three`); by
  default the mean is over the modalities there are.
- Everything is taken in float32, also where the network runs in half precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mcn.networks import EmbeddingNetwork, MultimodalClusteringNetwork
from mcn.objectives.clustering import KMeansClustering
from mcn.objectives.objective import (
    ClusterHealth,
    Objective,
    Setting,
    StepInputs,
    at_least_float32,
    both_directions,
    pair_loss,
    square,
)
from mcn.objectives.prototypes import Prototypes, swapped_prediction
from mcn.options.clustering import ClusteringOptions


def masked_margin_softmax(similarity: Tensor, margin: float = 0.001) -> Tensor:
    """(B, B) similarities of item i in one modality and item j in another, true pairs on the diagonal -> scalar."""
    logits = square(similarity)
    identity = torch.eye(len(logits), dtype=logits.dtype, device=logits.device)
    return both_directions(logits - margin * identity)


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


class MultimodalClusteringObjective(Objective):
    """Contrast, cluster and reconstruction terms, and the state of the clustering."""

    def __init__(self, options: ClusteringOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        self.clustering: KMeansClustering | None = None
        if options.cluster_weight and options.cluster_by == "kmeans":
            self.clustering = KMeansClustering(options, setting)
        elif options.cluster_weight:
            self.heads["prototypes"] = Prototypes(
                setting.width, options.prototype_width, options.clusters
            )

    @property
    def health(self) -> ClusterHealth | None:  # type: ignore[override]
        """Of the last fit of k-means."""
        return None if self.clustering is None else self.clustering.health

    def start_epoch(self) -> None:
        """Forget the centroids, as released, where the options say so."""
        super().start_epoch()
        if self.clustering is not None and self.options.reset_centroids_each_epoch:
            self.clustering.forget()

    def embed(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        """Embeddings by modality; `input X` and `reconstructed X` where the network has reconstruction heads."""
        assert isinstance(network, MultimodalClusteringNetwork)
        embeddings = network(inputs.video, inputs.audio, inputs.words, inputs.frames)
        views = {name: getattr(embeddings, name) for name in self.modalities}
        if network.has_reconstruction:
            reconstructed = network.reconstruct(embeddings)
            for name in self.modalities:
                views |= {
                    f"input {name}": embeddings.inputs[name],
                    f"reconstructed {name}": reconstructed[name],
                }
        return views

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        options = self.options
        terms = {"contrast": options.contrast_weight * self._contrast(views, inputs)}
        if options.cluster_weight:
            cluster = self._prototypes if self.clustering is None else self._cluster
            terms["cluster"] = options.cluster_weight * cluster(views, inputs)
        if options.reconstruction_weight and f"input {self.modalities[0]}" in views:
            loss = self._reconstruction(views, inputs)
            terms["reconstruction"] = options.reconstruction_weight * loss
        return terms

    def _contrast(self, views: Mapping[str, Tensor], inputs: StepInputs) -> Tensor:
        masked = self.options.same_video == "masked"
        loss = partial(masked_margin_softmax, margin=self.options.margin)
        losses = [pair_loss(views, pair, inputs, masked, loss) for pair in self.options.pairs]
        return torch.stack(losses).sum()

    def _cluster(self, views: Mapping[str, Tensor], inputs: StepInputs) -> Tensor:
        options = self.options
        assert self.clustering is not None
        fused = self._fused(views, inputs)
        centroids, assignments = self.clustering.assignments(fused.detach())
        sources = {"fused": fused}
        if options.cluster_reduction != "fused":
            sources = {name: views[name] for name in self.modalities}
        losses = []
        for name, source in sources.items():
            rows = inputs.rows_with(name)
            if rows is not None and not len(rows):
                continue
            losses.append(
                centroid_contrast(
                    source if rows is None else source[rows],
                    centroids,
                    assignments if rows is None else assignments[rows],
                    options.cluster_margin,
                    options.margin_in_denominator,
                )
            )
        total = torch.stack(losses)
        if options.cluster_reduction == "mean" and options.cluster_mean_over == "three":
            return total.sum() / 3
        return total.sum() if options.cluster_reduction == "sum" else total.mean()

    def _fused(self, views: Mapping[str, Tensor], inputs: StepInputs) -> Tensor:
        """(N, d): mean of the modalities that each clip has."""
        stacked = torch.stack([views[name] for name in self.modalities])
        if not inputs.present:
            return stacked.mean(dim=0)
        everywhere = torch.ones(inputs.clips, dtype=torch.bool, device=stacked.device)
        there = torch.stack([inputs.present.get(name, everywhere) for name in self.modalities])
        weights = (there / there.sum(dim=0)).to(stacked)
        return (stacked * weights.unsqueeze(-1)).sum(dim=0)

    def _prototypes(self, views: Mapping[str, Tensor], inputs: StepInputs) -> Tensor:
        options, head = self.options, self.heads["prototypes"]
        rows = inputs.rows_with(*self.modalities)
        take = slice(None) if rows is None else rows
        values = {name: views[name][take] for name in self.modalities}
        if len(values[self.modalities[0]]) < 2:  # batch norm needs two
            return torch.stack([view.sum() for view in values.values()]).sum() * 0
        frozen = self.epochs_begun <= options.frozen_prototype_epochs
        scores = {name: head(value, frozen) for name, value in values.items()}
        return swapped_prediction(
            scores,
            options.prototype_temperature,
            options.sinkhorn_epsilon,
            options.sinkhorn_iterations,
        )

    def _reconstruction(self, views: Mapping[str, Tensor], inputs: StepInputs) -> Tensor:
        made, wanted = {}, {}
        for name in self.modalities:
            rows = inputs.rows_with(name)
            take = slice(None) if rows is None else rows
            if rows is None or len(rows):
                made[name] = views[f"reconstructed {name}"][take]
                wanted[name] = views[f"input {name}"][take]
        return reconstruction(made, wanted, self.options.detach_reconstruction_target)

    def state_dict(self) -> dict[str, Any]:
        clustering = None if self.clustering is None else self.clustering.state_dict()
        return {**super().state_dict(), "clustering": clustering}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        if self.clustering is not None:
            self.clustering.load_state_dict(state["clustering"])
