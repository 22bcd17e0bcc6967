"""Rows of `python -m benchmarks` that call functions: shards, training step, k-means, retrieval."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
import torch

from benchmarks import gpu_training
from benchmarks.given import Given, costs
from benchmarks.gpu_extraction import write_shard
from benchmarks.gpu_sizes import WHOLE
from benchmarks.gpu_training import iterate
from benchmarks.measuring import Figure, cpu_seconds, in_turn, spread
from benchmarks.rivals import released_kmeans, released_step
from mcn.evaluation.retrieval.metrics import places_from_embeddings
from mcn.features.reading import batches_of
from mcn.shards import FEATURE_SCHEMA, ShardReader, ShardWriter, feature_row
from mcn.shards.clips import pool
from mcn.shards.mapped import MappedFeatures
from mcn.shards.summary import NAME, SETTLED_NS

CPU = torch.device("cpu")


def feed(given: Given) -> list[Figure]:
    """Frames of 24 a second of 112 x 112 out of a shard, a core."""
    path = write_shard(
        given.folder / "f.parquet", WHOLE._replace(videos=2, seconds=60), 24, 112, 112
    )
    taken = in_turn({"mine": lambda: [None for _ in batches_of(ShardReader(path), 16, 64)]})["mine"]
    rates = [120 / one for one in taken]
    return [Figure("feed of frames", "x real time", median(rates), None, False, spread(rates), 500)]


def reads(given: Given) -> list[Figure]:
    """32 clips of a video out of feature shards: the first read of a video, which is verified, and later ones."""
    random, path = np.random.default_rng(0), given.folder / "features.parquet"
    rows = 400
    with ShardWriter(path, FEATURE_SCHEMA, {"feature": "made"}) as shard:
        for number in range(64):
            shard.write(feature_row(f"v{number}", random.random((rows, 2048)), 0.0, 1.0))
    store = MappedFeatures([path])
    starts = random.integers(0, rows - 12, 32)

    def clips() -> None:
        for number in range(64):
            values = store[f"v{number}"].values
            assert values is not None
            for start in starts:
                pool(values, float(start), float(start) + 10, 1.0)

    def rival() -> None:
        for number in range(64):
            values = torch.from_numpy(kept[number]).float()
            for start in starts:
                torch.nn.functional.normalize(values[start : start + 11].max(dim=0).values, dim=0)

    kept = [np.array(store[f"v{number}"].values) for number in range(64)]
    store = MappedFeatures([path])
    began = cpu_seconds()
    clips()
    first = 1000 * (cpu_seconds() - began) / 64
    taken = {
        name: [1000 * one / 64 for one in found]
        for name, found in in_turn({"mine": clips, "rival": rival}).items()
    }
    note = "one stream of 2,048 numbers; rival: float32 in memory"
    return [
        Figure("32 clips of a video, first read", "cpu-ms", first, None, True, wanted=3),
        costs("32 clips of a video, later reads", "cpu-ms", taken["mine"], taken["rival"], 1, note),
    ]


def opening(given: Given) -> list[Figure]:
    """Opening a set of feature shards the first time, and by its summary; cost follows the number of videos.

    A process opens three streams of 1.2 million videos: 150 times what is measured.
    """
    random, folder = np.random.default_rng(0), given.folder / "set/features/made"
    paths = [folder / f"{shard:05d}.parquet" for shard in range(24)]
    for shard, path in enumerate(paths):
        with ShardWriter(path, FEATURE_SCHEMA, {"feature": "made"}) as writer:
            for number in range(1000):
                writer.write(feature_row(f"v{shard}_{number}", random.random((2, 8)), 0.0, 1.0))
    time.sleep(1.1 * SETTLED_NS / 1e9)

    def first() -> None:
        (folder / NAME).unlink(missing_ok=True)
        MappedFeatures(paths)

    found = in_turn({"first": first, "later": lambda: MappedFeatures(paths)})
    taken = {name: [150 * one for one in seconds] for name, seconds in found.items()}
    note = "three streams, from one of 24,000 videos"
    what = "opening 1.2 million videos"
    return [
        costs(f"{what}, first process", "cpu-s", taken["first"], note=note),
        costs(f"{what}, later ones", "cpu-s", taken["later"], wanted=20, note=note),
    ]


def steps(given: Given) -> list[Figure]:
    """Training steps of MCN at the published widths, and those of the released code, which is fp32 on a processor.

    One after the other: two such networks with their moments and activations would not fit a small memory.
    """
    sizes = WHOLE._replace(steps=3)
    options = gpu_training.experiment(given.clips, sizes)
    batch = gpu_training.made_batch(given.clips, 1000)
    clusters = min(sizes.clusters, given.clips // 2)
    mine: dict[str, list[float]] = {}
    plain: dict[str, list[float]] = {}
    for precision in ("fp32", "bf16"):
        arguments = (options, batch, precision, CPU, sizes)
        mine[precision] = gpu_training.timed_steps(*arguments, clock=cpu_seconds)[0]
        if given.rivals is None:
            plain[precision] = gpu_training.plain_steps(*arguments, clock=cpu_seconds)
    released = released_step(given.rivals, given.clips, sizes.width, clusters, 1000)
    if released is not None:
        plain = dict.fromkeys(mine, in_turn({"rival": released})["rival"])
    note = "rival: the released code, fp32" if released else "rival: plain PyTorch"
    wanted = {"fp32": 34, "bf16": 18} if given.whole else {}
    return [
        costs(
            f"step of {given.clips} clips, {one}",
            "cpu-s",
            mine[one],
            plain.get(one),
            wanted.get(one),
            note,
        )
        for one in mine
    ]


def clustering(given: Given) -> list[Figure]:
    """An iteration of k-means."""
    sizes = WHOLE if given.whole else WHOLE._replace(points=1024)
    points = torch.randn(sizes.points, sizes.width, generator=torch.Generator().manual_seed(0))
    first, count = points[: sizes.clusters].clone(), 5
    released = released_kmeans(given.rivals, len(first), count)

    def rival() -> None:
        if released is None:
            gpu_training.plain_kmeans(points, first, count)
        else:
            released.fit_predict(points, first.clone())

    def product() -> None:
        for _ in range(count):
            points @ first.t()

    taken = in_turn(
        {"mine": lambda: iterate(points, first, count), "rival": rival, "product": product}
    )
    milliseconds = {name: [1000 * one / count for one in found] for name, found in taken.items()}
    what = f"k-means {sizes.points} x {sizes.width} x {sizes.clusters}, an iteration"
    note = "rival: fast_pytorch_kmeans" if released else "rival: plain PyTorch"
    note += f"; the matrix product alone {median(milliseconds['product']):.0f}"
    wanted = 65 if given.whole else None
    return [costs(what, "cpu-ms", milliseconds["mine"], milliseconds["rival"], wanted, note)]


def retrieval(given: Given) -> list[Figure]:
    """Ranks of queries among as many items, exact; the rival holds the whole matrix in float64."""
    count = 20_000 if given.whole else 4000
    random = np.random.default_rng(0)
    gallery = random.standard_normal((count, 512), np.float32)
    queries = gallery + 20 * random.standard_normal(gallery.shape, np.float32)
    taken = in_turn(
        {
            "mine": lambda: places_from_embeddings(queries, gallery),
            "rival": lambda: gpu_training.plain_ranks(queries, gallery, torch.float64, CPU),
            "product": lambda: [rows @ gallery.T for rows in np.array_split(queries, 25)],
        }
    )
    note = f"the matrix product alone, in float32: {median(taken['product']):.2f}"
    wanted = 5.8 if given.whole else None
    what = f"retrieval {count} x {count} x 512"
    return [costs(what, "cpu-s", taken["mine"], taken["rival"], wanted, note)]
