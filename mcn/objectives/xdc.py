"""XDC, SDC, MDC, CDC: modalities predict cluster ids (Alwassel et al. 2020).

    L = sum over (x, y) of  -1/B sum_i log softmax(H_xy x_i)[cluster of clip i in space y]

- (x, y): xdc: y is another modality; sdc: y = x (DeepCluster); mdc: both, two heads; cdc: y is all modalities side by
  side. H_xy is linear.
- Where every `refit_every_epochs` epochs begin, the most recent clips' embeddings (at most `memory_clips`; the
  published k-means sees the whole set) are clustered, every space for itself, from random rows; a clip's cluster is
  the nearest centroid. Cluster ids then have no past, so heads are drawn anew. Starting from the centroids before
  instead ended, on the demo, with one cluster that holds everything.
- No two embeddings are compared: the space is not a joint one, and retrieval between modalities is expected at chance.
- Clips that lack one of the modalities take no part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.errors import UserError
from mcn.objectives.clustering import FeatureQueue, assign, cluster_health, kmeans
from mcn.objectives.objective import ClusterHealth, Objective, Setting, StepInputs
from mcn.options.clustering import CrossModalClusteringOptions

JOINED = "all"  # the space of all modalities side by side


def predictions_of(variant: str, modalities: tuple[str, ...]) -> list[tuple[str, str]]:
    """(x, y) of a variant: modality x predicts the clusters of space y."""
    if variant == "cdc":
        return [(x, JOINED) for x in modalities]
    own, others = variant in ("sdc", "mdc"), variant in ("xdc", "mdc")
    return [(x, y) for x in modalities for y in modalities if (own if x == y else others)]


@torch.no_grad()
def draw_anew(heads: nn.Module, seed: int) -> None:
    """Weights and biases uniform within 1 / sqrt(width), as PyTorch's linear maps begin; the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    for head in heads.children():
        assert isinstance(head, nn.Linear)
        bound = head.in_features**-0.5
        for parameter in (head.weight, head.bias):
            drawn = torch.rand(parameter.shape, generator=generator)
            parameter.copy_((2 * drawn - 1) * bound)


class CrossModalClusteringObjective(Objective):
    """Heads, and the memory and centroids of every space.

    A memory smaller than the clusters: `UserError`. Until it holds as many clips there is no loss.
    """

    def __init__(self, options: CrossModalClusteringOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        if options.memory_clips < options.clusters:
            raise UserError(
                f"a memory of {options.memory_clips} clips for {options.clusters} clusters",
                "at least one clip a cluster",
                "raise objective.memory_clips, or lower objective.clusters",
            )
        self.predictions = predictions_of(options.variant, self.modalities)
        for x, y in self.predictions:
            self.heads[f"{x}_{y}"] = nn.Linear(setting.width, options.clusters)
        widths = dict.fromkeys(self.modalities, setting.width)
        widths[JOINED] = sum(widths.values())
        self.memory = {
            name: FeatureQueue(options.memory_clips, widths[name], device=setting.device)
            for name in sorted({y for _, y in self.predictions})
        }
        self.centroids: dict[str, Tensor] = {}
        self.stale, self.fits = True, 0

    def start_epoch(self) -> None:
        """Where it is time, the next step clusters what is remembered."""
        self.stale = self.stale or self.epochs_begun % self.options.refit_every_epochs == 0
        super().start_epoch()

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        rows = inputs.rows_with(*self.modalities)
        if rows is not None:
            views = {name: view[rows] for name, view in views.items()}
        points = self._points(views)
        for name, memory in self.memory.items():
            memory.push(points[name])
        enough = all(len(memory) >= self.options.clusters for memory in self.memory.values())
        if self.stale and enough:
            self._fit()
        if not self.centroids or not len(views[self.modalities[0]]):
            return {"clusters": torch.stack([view.sum() for view in views.values()]).sum() * 0}
        labels = {
            name: assign(points[name], centroids, self.options.cluster_metric)
            for name, centroids in self.centroids.items()
        }
        terms = [
            F.cross_entropy(self.heads[f"{x}_{y}"](views[x]), labels[y])
            for x, y in self.predictions
        ]
        return {"clusters": torch.stack(terms).sum()}

    def _points(self, views: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """(R, D) without gradient, by space."""
        joined = torch.cat([views[name] for name in self.modalities], dim=1)
        return {name: view.detach() for name, view in {**views, JOINED: joined}.items()}

    def _fit(self) -> None:
        options, seed = self.options, self.setting.seed + self.fits
        for name, memory in self.memory.items():
            centroids, labels = kmeans(
                memory.rows(),
                options.clusters,
                options.cluster_metric,
                max_iterations=options.kmeans_iterations,
                seed=seed,
            )
            self.centroids[name] = centroids
            self.health = cluster_health(labels, options.clusters, centroids)
        draw_anew(self.heads, seed)
        self.stale, self.fits = False, self.fits + 1

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "memory": {name: memory.state_dict() for name, memory in self.memory.items()},
            "centroids": dict(self.centroids),
            "stale": self.stale,
            "fits": self.fits,
            "health": None if self.health is None else tuple(self.health),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        for name, memory in self.memory.items():
            memory.load_state_dict(state["memory"][name])
        self.centroids = {
            name: rows.to(self.setting.device) for name, rows in state["centroids"].items()
        }
        self.stale, self.fits = bool(state["stale"]), int(state["fits"])
        self.health = None if state["health"] is None else ClusterHealth(*state["health"])
