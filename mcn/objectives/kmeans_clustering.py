"""Centroids and assignments of a running k-means, as the cluster term of MCN needs them (train_tri_kmeans.py:235-381).

In a step [queue; batch] is clustered; every `refit_every_steps` steps k-means is fitted, warm-started from the previous
centroids, and between them the batch is only assigned. Then the first half of each video's clips enters the queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mcn.errors import UserError
from mcn.objectives.clustering import ClusterHealth, FeatureQueue, assign, cluster_health, kmeans
from mcn.objectives.objective import Setting
from mcn.options.objectives import ClusteringOptions


class KMeansClustering:
    """Queue, centroids and counters. Fewer clips a step than clusters: `UserError`."""

    def __init__(self, options: ClusteringOptions, setting: Setting) -> None:
        if setting.clips < options.clusters:
            raise UserError(
                f"{setting.videos} videos x {setting.clips_per_video} clips a step for {options.clusters} clusters",
                "at least one clip a cluster",
                "lower objective.clusters, or raise training.clips_per_video or videos_per_batch",
            )
        self.options, self.setting = options, setting
        self.queue: FeatureQueue | None = None
        if options.queue_steps:
            self.queue = FeatureQueue.for_batches(
                options.queue_steps,
                setting.videos,
                setting.clips_per_video,
                setting.width,
                device=setting.device,
            )
        self.centroids: Tensor | None = None
        self.fits = 0
        self.steps_since_fit = 0
        self.health: ClusterHealth | None = None

    def assignments(self, fused: Tensor) -> tuple[Tensor, Tensor]:
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
            self.queue.push(fused, self.setting.clips_per_video)
        return self.centroids, assignments

    def forget(self) -> None:
        """The next step starts from fresh centroids."""
        self.centroids = None

    def _fit(self, points: Tensor) -> tuple[Tensor, Tensor]:
        options, previous = self.options, self.centroids
        centroids, labels = kmeans(
            points,
            options.clusters,
            options.cluster_metric,
            init=previous,
            max_iterations=options.kmeans_iterations,
            seed=self.setting.seed + self.fits,
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
        self.centroids = None if centroids is None else centroids.to(self.setting.device)
        self.fits, self.steps_since_fit = int(state["fits"]), int(state["steps_since_fit"])
        self.health = None if state["health"] is None else ClusterHealth(*state["health"])
