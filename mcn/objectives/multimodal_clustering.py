"""The whole objective of Multimodal Clustering Networks (MCN equation 1; released train_tri_kmeans.py:290-381).

    L = w_c sum_pairs MMS(X Y^T) + w_k R_x L_x(cluster) + w_r L_reconstruction

- Pairs of modalities (`options.pairs`): text-video, audio-text, audio-video; one pair alone is the released ablation
  flags no_audio and no_video. Only modalities that occur in a pair are fused, clustered and reconstructed.
- Fused feature M_i = mean of the modalities (equation 4), without gradient. In a step [queue; batch] is clustered;
  every `refit_every_steps` steps k-means is fitted, warm-started from the previous centroids, and between them the
  batch is only assigned. Then the first half of each video's clips enters the queue.
- R is the mean or the sum over modalities, or one loss of M itself, with gradient (`cluster_reduction`). The released
  code divides by 3 even with two modalities; the mean here is over the modalities there are.
- Everything is taken in float32, also where the network runs in half precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mcn.clustering import ClusterHealth, FeatureQueue, assign, cluster_health, kmeans
from mcn.errors import UserError
from mcn.networks.mcn import Embeddings
from mcn.objectives.centroid_contrast import centroid_contrast
from mcn.objectives.masked_margin_softmax import masked_margin_softmax
from mcn.objectives.reconstruction import reconstruction
from mcn.objectives.similarity import at_least_float32
from mcn.training_options import ObjectiveOptions


class MultimodalClusteringObjective:
    """Loss terms of a step, and the state of the clustering: queue, centroids, counters.

    videos, clips_per_video: shape of every batch; width: of the embeddings. Fewer clips than clusters: `UserError`.
    """

    def __init__(
        self,
        options: ObjectiveOptions,
        videos: int,
        clips_per_video: int,
        width: int,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        if options.cluster_weight and videos * clips_per_video < options.clusters:
            raise UserError(
                f"{videos} videos x {clips_per_video} clips a step for {options.clusters} clusters",
                "at least one clip a cluster",
                "lower objective.clusters, or raise training.clips_per_video or videos_per_batch",
            )
        self.options, self.clips_per_video = options, clips_per_video
        self.seed, self.device = seed, device
        self.queue: FeatureQueue | None = None
        if options.cluster_weight and options.queue_steps:
            self.queue = FeatureQueue.for_batches(
                options.queue_steps, videos, clips_per_video, width, device=device
            )
        self.centroids: Tensor | None = None
        self.fits = 0
        self.steps_since_fit = 0
        self.health: ClusterHealth | None = None

    def start_epoch(self) -> None:
        """Forget the centroids, as released, where the options say so."""
        if self.options.reset_centroids_each_epoch:
            self.centroids = None

    def __call__(
        self, embeddings: Embeddings, reconstructed: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """(N, d) embeddings, and what the heads made of them -> scalars: `total` and each weighted term."""
        options = self.options
        with torch.autocast(embeddings.video.device.type, enabled=False):
            features: dict[str, Tensor] = {
                name: at_least_float32(getattr(embeddings, name)) for name in options.modalities
            }
            terms = {"contrast": options.contrast_weight * self._contrast(features)}
            if options.cluster_weight:
                terms["cluster"] = options.cluster_weight * self._cluster(features)
            if options.reconstruction_weight and reconstructed is not None:
                loss = reconstruction(
                    {name: reconstructed[name] for name in features},
                    {name: embeddings.inputs[name] for name in features},
                    options.detach_reconstruction_target,
                )
                terms["reconstruction"] = options.reconstruction_weight * loss
            return {"total": torch.stack(list(terms.values())).sum(), **terms}

    def _contrast(self, features: Mapping[str, Tensor]) -> Tensor:
        losses = []
        for pair in self.options.pairs:
            left, right = (features[name] for name in pair.split("_"))
            losses.append(masked_margin_softmax(left @ right.t(), self.options.margin))
        return torch.stack(losses).sum()

    def _cluster(self, features: Mapping[str, Tensor]) -> Tensor:
        options = self.options
        fused = torch.stack(list(features.values())).mean(dim=0)
        centroids, assignments = self._assignments(fused.detach())
        sources = [fused] if options.cluster_reduction == "fused" else list(features.values())
        losses = torch.stack(
            [
                centroid_contrast(
                    source,
                    centroids,
                    assignments,
                    options.cluster_margin,
                    options.margin_in_denominator,
                )
                for source in sources
            ]
        )
        return losses.sum() if options.cluster_reduction == "sum" else losses.mean()

    def _assignments(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """Centroids (K, d) and the cluster of each clip of the batch (N,); fits where it is time, feeds the queue."""
        options = self.options
        if self.centroids is None or self.steps_since_fit >= options.refit_every_steps:
            points = self.queue.with_batch(fused) if self.queue is not None else fused
            self.centroids, labels = self._fit(points)
            assignments = labels[len(points) - len(fused) :]
        else:
            assignments = assign(fused, self.centroids, options.cluster_metric)
        self.steps_since_fit += 1
        if self.queue is not None:
            self.queue.push(fused, self.clips_per_video)
        return self.centroids, assignments

    def _fit(self, points: Tensor) -> tuple[Tensor, Tensor]:
        options, previous = self.options, self.centroids
        centroids, labels = kmeans(
            points,
            options.clusters,
            options.cluster_metric,
            init=previous,
            max_iterations=options.kmeans_iterations,
            seed=self.seed + self.fits,
        )
        self.health = cluster_health(labels, options.clusters, centroids, previous)
        self.fits += 1
        self.steps_since_fit = 0
        return centroids, labels

    def state_dict(self) -> dict[str, Any]:
        """Everything that an exact resume needs: tensors and plain numbers."""
        return {
            "queue": None if self.queue is None else self.queue.state_dict(),
            "centroids": self.centroids,
            "fits": self.fits,
            "steps_since_fit": self.steps_since_fit,
            "health": None if self.health is None else tuple(self.health),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave, under the same options."""
        if self.queue is not None:
            self.queue.load_state_dict(state["queue"])
        centroids = state["centroids"]
        self.centroids = None if centroids is None else centroids.to(self.device)
        self.fits, self.steps_since_fit = int(state["fits"]), int(state["steps_since_fit"])
        self.health = None if state["health"] is None else ClusterHealth(*state["health"])
