"""How large the works of benchmarks/gpu.py are."""

from __future__ import annotations

from typing import NamedTuple


class Sizes(NamedTuple):
    """videos, seconds: of the shards that are made. readers: threads that the feed is measured with. batches: timed for
    each network. clips: of a training step. width: of the common space. steps: timed. points, clusters: of k-means.
    queries: and as many gallery items. embedding: their width. networks: name, height, width, frames an item, batch.
    """

    videos: int
    seconds: int
    readers: tuple[int, ...]
    batches: int
    clips: tuple[int, ...]
    width: int
    davenet: tuple[int, int, int, int]
    steps: int
    points: int
    clusters: int
    queries: int
    embedding: int
    matrix: int
    networks: tuple[tuple[str, int, int, int, int], ...]


WHOLE = Sizes(
    videos=16,
    seconds=300,
    readers=(1, 4, 8, 16),
    batches=20,
    clips=(128, 1024, 4096),
    width=6144,
    davenet=(128, 256, 512, 1024),
    steps=6,
    points=4096,
    clusters=256,
    queries=20_000,
    embedding=6144,
    matrix=8192,
    networks=(
        ("resnet152", 224, 398, 1, 128),
        ("resnext101", 112, 112, 16, 64),
        ("vit_small_patch16_224", 224, 224, 1, 128),
    ),
)
SMALL = Sizes(
    videos=2,
    seconds=2,
    readers=(1, 2),
    batches=1,
    clips=(8,),
    width=16,
    davenet=(4, 4, 8, 8),
    steps=2,
    points=64,
    clusters=4,
    queries=40,
    embedding=8,
    matrix=64,
    networks=(("resnet10t", 32, 40, 1, 4), ("resnext101", 16, 16, 2, 2)),
)
