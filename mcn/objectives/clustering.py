"""K-means on a batch and its recent past, as the objectives that cluster need it.

Conventions
-----------
- Points are rows (N, D), centroids (K, D), assignments (N,) int64. Everything runs on the device of the points, without
  gradient, in float32 for points of lower precision (float64 stays).
- cosine, as released (`DeMoriarty/fast_pytorch_kmeans`, used by MCN): a point goes to the centroid of largest cosine
  similarity; a centroid is the arithmetic mean of its members as they are, never normalised.
- euclidean, as printed (MCN equation 5): smallest squared distance; the same mean.
- Clusters that lose all members are not seeded anew. Policy `zero`: their centroid becomes the zero vector (released);
  `previous`: it stays where it was. The default is `zero` for cosine and `previous` for euclidean, where a zero vector
  would be a place like any other.
- On the CPU the result depends on the arguments alone. On CUDA sums are atomic: last bits can differ from run to run
  unless `torch.use_deterministic_algorithms` is on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from mcn.errors import UserError
from mcn.objectives.objective import ClusterHealth, Setting, at_least_float32
from mcn.options.clustering import ClusteringOptions

Metric = Literal["cosine", "euclidean"]
EmptyPolicy = Literal["zero", "previous"]

DEFAULT_EMPTY_POLICY: dict[Metric, EmptyPolicy] = {"cosine": "zero", "euclidean": "previous"}
ROWS_AT_ONCE = 16384  # bounds the float32 copies of a half-precision queue and the score matrix


@torch.no_grad()
def kmeans(
    points: Tensor,
    clusters: int,
    metric: Metric = "cosine",
    init: Tensor | None = None,
    max_iterations: int = 100,
    tolerance: float = 1e-4,
    seed: int = 0,
    empty: EmptyPolicy | None = None,
) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm: points (N, D) -> (centroids (K, D), assignments (N,)).

    init: (K, D) centroids to start from; None: `clusters` distinct rows drawn with `seed`. It stops when the
    assignments repeat, when the summed squared movement of the centroids is <= `tolerance`, or after
    `max_iterations`. As released, the assignments are those that the returned centroids are the means of.
    empty: see the module. Fewer points than clusters without init: `UserError`. Bad shapes, NaN: ValueError.
    """
    _check_points(points, metric)
    if max_iterations < 1:
        raise ValueError(f"max_iterations must be at least 1, got {max_iterations}")
    centroids = _random_rows(points, clusters, seed) if init is None else init.detach()
    if centroids.shape != (clusters, points.shape[1]):
        raise ValueError(f"init {tuple(centroids.shape)}, wanted {(clusters, points.shape[1])}")
    centroids = centroids.to(at_least_float32(points[:0]))
    policy = empty or DEFAULT_EMPTY_POLICY[metric]
    assignments: Tensor | None = None
    for _ in range(max_iterations):
        nearest = assign(points, centroids, metric)
        if assignments is not None and torch.equal(nearest, assignments):
            break
        assignments = nearest
        moved = _means(points, assignments, centroids, policy)
        movement = float((moved - centroids).square().sum())
        centroids = moved
        if movement <= tolerance:
            break
    assert assignments is not None
    return centroids, assignments


@torch.no_grad()
def assign(points: Tensor, centroids: Tensor, metric: Metric = "cosine") -> Tensor:
    """The nearest centroid of each point: (N, D), (K, D) -> (N,) int64; ties go to the first."""
    with torch.autocast(points.device.type, enabled=False):
        centroids = at_least_float32(centroids.to(points.device))
        if (
            metric == "cosine"
        ):  # the length of a point scales all its scores alike, so only centroids are normalised
            directions, offsets = torch.nn.functional.normalize(centroids, dim=1), None
        else:  # |x - c|^2 = |x|^2 - 2 (x.c - |c|^2 / 2)
            directions, offsets = centroids, centroids.square().sum(dim=1) / 2
        nearest = []
        for rows in points.split(ROWS_AT_ONCE):
            scores = rows.to(centroids.dtype) @ directions.t()
            nearest.append((scores if offsets is None else scores - offsets).argmax(dim=1))
        return torch.cat(nearest)


def _means(points: Tensor, assignments: Tensor, centroids: Tensor, empty: EmptyPolicy) -> Tensor:
    """Mean of each cluster's members; clusters without members by policy."""
    sums = torch.zeros_like(centroids)
    for rows, clusters in zip(
        points.split(ROWS_AT_ONCE), assignments.split(ROWS_AT_ONCE), strict=True
    ):
        sums.index_add_(0, clusters, rows.to(sums.dtype))
    counts = torch.bincount(assignments, minlength=len(centroids)).unsqueeze(1)
    means = sums / counts.clamp(min=1)  # an empty cluster's sum is the zero vector
    return means if empty == "zero" else torch.where(counts > 0, means, centroids)


def _random_rows(points: Tensor, count: int, seed: int) -> Tensor:
    if len(points) < count:
        raise UserError(
            f"{len(points)} points for {count} clusters",
            "at least one point a cluster",
            "use fewer clusters, or larger batches or a feature queue",
        )
    generator = torch.Generator().manual_seed(seed)  # on the CPU: the same rows on every device
    return points[torch.randperm(len(points), generator=generator)[:count].to(points.device)]


def _check_points(points: Tensor, metric: str) -> None:
    if metric not in DEFAULT_EMPTY_POLICY:
        raise ValueError(f"metric must be cosine or euclidean, got {metric!r}")
    if points.dim() != 2 or not len(points):
        raise ValueError(f"points must be (N >= 1, D), got {tuple(points.shape)}")
    # NaN and infinite values show in the sum, which costs a thirtieth; a sum can also overflow by itself
    if not (torch.isfinite(points.sum()) or torch.isfinite(points).all()):
        raise ValueError("points with NaN or infinite values: training has diverged")


def cluster_health(
    assignments: Tensor, clusters: int, centroids: Tensor, previous: Tensor | None = None
) -> ClusterHealth:
    """Health of a clustering: assignments (N,), centroids (K, D) and those before, if any."""
    counts = torch.bincount(assignments, minlength=clusters)
    drift = None
    if previous is not None and float(previous.norm()) > 0:
        drift = float((centroids - previous).norm() / previous.norm())
    return ClusterHealth(int((counts > 0).sum()), float(counts.max() / counts.sum()), drift)


class FeatureQueue:
    """A ring of the most recent fused features, so that clusters see more than one batch.

    From every batch the first half of each video's clips enters (released: 16 of 32; at least one). A step calls
    `with_batch` (what to cluster: the queue and then the batch, but only once the queue is full), then `push`. Values
    are detached. Capacity as released: 20 batches' worth, `for_batches`.
    """

    def __init__(
        self,
        capacity: int,
        width: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 row, got {capacity}")
        self.buffer = torch.zeros(capacity, width, device=device, dtype=dtype)
        self.position = 0  # where the next row goes
        self.filled = 0

    @classmethod
    def for_batches(
        cls, batches: int, videos: int, clips_per_video: int, width: int, **placement: Any
    ) -> FeatureQueue:
        """A queue that is full after `batches` batches of `videos` x `clips_per_video` rows."""
        return cls(batches * videos * clips_pushed(clips_per_video), width, **placement)

    def __len__(self) -> int:
        return self.filled

    @property
    def full(self) -> bool:
        """Whether every row has been written."""
        return self.filled == len(self.buffer)

    def rows(self) -> Tensor:
        """The rows written so far (len(self), D), in the order of the ring, which says nothing of age."""
        return self.buffer[: self.filled]

    def with_batch(self, features: Tensor) -> Tensor:
        """What is clustered in this step: [queue; features] when the queue is full, else features alone; detached."""
        features = features.detach()
        return torch.cat([self.buffer, features.to(self.buffer)]) if self.full else features

    def push(self, features: Tensor, clips_per_video: int = 1) -> None:
        """Write the first half of each video's clips of (videos * clips_per_video, D) over the oldest rows.

        Rows that are no multiple of clips_per_video, or of another width: ValueError.
        """
        if features.shape[1:] != self.buffer.shape[1:] or len(features) % clips_per_video:
            raise ValueError(
                f"{tuple(features.shape)} in videos of {clips_per_video} clips does not fit a queue "
                f"of width {self.buffer.shape[1]}"
            )
        by_video = features.detach().unflatten(0, (-1, clips_per_video))
        entering = by_video[:, : clips_pushed(clips_per_video)].flatten(0, 1).to(self.buffer)
        places = torch.arange(self.position, self.position + len(entering)) % len(self.buffer)
        kept = slice(max(0, len(entering) - len(self.buffer)), None)  # a place is written once
        self.buffer[places[kept].to(self.buffer.device)] = entering[kept]
        self.position = (self.position + len(entering)) % len(self.buffer)
        self.filled = min(len(self.buffer), self.filled + len(entering))

    def state_dict(self) -> dict[str, Any]:
        """Everything that an exact resume needs."""
        return {"buffer": self.buffer, "position": self.position, "filled": self.filled}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave; a queue of another size: `UserError`."""
        if state["buffer"].shape != self.buffer.shape:
            raise UserError(
                f"a saved feature queue of {tuple(state['buffer'].shape)}",
                f"one of {tuple(self.buffer.shape)}, as this batch shape and queue length need",
                "resume with the options of the first run, or start anew",
            )
        self.buffer.copy_(state["buffer"])
        self.position, self.filled = int(state["position"]), int(state["filled"])


def clips_pushed(clips_per_video: int) -> int:
    """How many of a video's clips enter the queue: half, at least one."""
    return max(1, clips_per_video // 2)


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
