"""Run a network over a shard: batches across videos, workers side by side, one row a video in order.

Conventions
-----------
- Every batch of frames has the same number of rows: the last of a frame size is filled up with black items, and the
  last item of a video with black frames. Convolutions may round differently for another batch size; so the bytes of a
  video depend on its own frames and the recipe alone, not on its neighbours in the shard.
- On a CPU each of `threads` workers computes whole batches on one thread: convolutions may also round differently when
  they are split over threads; and nobody waits for anybody inside a layer.
- Rows that are not `ok` are passed on with their error. Features are finite, and >= 0 behind a ReLU, or the run stops.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mcn.errors import UserError
from mcn.features.parallel import Timing, in_order, read_ahead
from mcn.features.reading import Batch, batches_of
from mcn.features.runtime import Runtime, repeatable
from mcn.shards import FEATURE_SCHEMA, ShardReader, ShardWriter, empty_row, feature_row

log = logging.getLogger(__name__)

BATCHES_AHEAD = 2  # a worker


@dataclass(frozen=True)
class Extractor:
    """A network and how a shard reaches it.

    kind: of the shards that are read. batches: the work in a shard. compute: a batch -> vectors float32 (n, D), n the
    sum over its parts. rows_per_vector: rows of the source that a vector stands for. recipe: all that changes the
    numbers but device, precision and the source's own recipe, which `extract` adds. ends_in_relu: vectors are never
    negative.
    """

    name: str
    kind: str
    batches: Callable[[ShardReader], Iterator[Batch]]
    compute: Callable[[Batch], np.ndarray]
    rows_per_vector: int
    runtime: Runtime
    recipe: dict[str, Any]
    ends_in_relu: bool = True


def frame_extractor(
    name: str,
    network: Callable[[Tensor], Tensor],
    frames_per_item: int,
    batch_size: int,
    runtime: Runtime,
    recipe: dict[str, Any],
) -> Extractor:
    """An extractor of RGB frames; network: uint8 (batch_size, F, H, W, 3) on the device -> (batch_size, D)."""
    return Extractor(
        name,
        "frames",
        partial(batches_of, frames_per_item=frames_per_item, batch_size=batch_size),
        partial(_compute, network, (batch_size, frames_per_item), runtime.device),
        frames_per_item,
        runtime,
        {**recipe, "batch_size": batch_size},
    )


def _compute(
    network: Callable[[Tensor], Tensor], size: tuple[int, int], device: torch.device, batch: Batch
) -> np.ndarray:
    if not batch.items:
        return np.zeros((0, 0), np.float32)
    filled = np.zeros(
        (*size, *batch.items[0].shape[1:]), np.uint8
    )  # what is not filled stays black
    for row, item in zip(filled, batch.items, strict=False):
        row[: len(item)] = item
    vectors = network(torch.from_numpy(filled).to(device))
    return np.asarray(vectors[: len(batch.items)].float().cpu().numpy())


def extract(source: Path, output: Path, extractor: Extractor) -> Timing:
    """Write the features of the shard `source` to `output`, one row a video in the same order; logs where time went."""
    reader, runtime = ShardReader(source, extractor.kind), extractor.runtime
    recipe = {**extractor.recipe, **runtime.recipe, "decoded": reader.recipe}
    timing, began = Timing(), time.perf_counter()
    ready = read_ahead(extractor.batches(reader), BATCHES_AHEAD * runtime.workers)
    with (
        contextlib.closing(ready),
        repeatable(runtime.device),
        ShardWriter(output, FEATURE_SCHEMA, recipe) as writer,
        tqdm(total=len(reader), desc=extractor.name, unit="video", disable=None) as progress,
    ):
        results = in_order(ready, extractor.compute, runtime.workers, timing)
        for row, vectors in videos_of(results):
            start = time.perf_counter()
            writer.write(_feature_row(row, vectors, extractor))
            timing.writing += time.perf_counter() - start
            timing.vectors += len(vectors)
            timing.media_seconds += (row["length"] or 0) * (row["step_seconds"] or 0.0)
            progress.update()
    reader.close()
    _report(extractor, timing, time.perf_counter() - began)
    return timing


def videos_of(
    results: Iterator[tuple[Batch, np.ndarray]],
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Each video's source row and all of its vectors (T, D); (0, 0) where it is not ok."""
    pending = [np.zeros((0, 0), np.float32)]
    for batch, vectors in results:
        first = 0
        for part in batch.parts:
            if part.vectors:
                pending.append(vectors[first : first + part.vectors])
            first += part.vectors
            if part.last:
                yield part.row, np.concatenate(pending[1:] or pending)
                pending = pending[:1]


def _feature_row(row: dict[str, Any], vectors: np.ndarray, extractor: Extractor) -> dict[str, Any]:
    if row["status"] != "ok":
        return empty_row(FEATURE_SCHEMA, row["video_id"], row["status"], row["error"])
    least = 0.0 if extractor.ends_in_relu else -np.inf
    if not (np.isfinite(vectors).all() and (vectors >= least).all()):
        raise UserError(
            f"{row['video_id']}: {extractor.name} gives NaN, infinite or (behind a ReLU) negative features in "
            f"{extractor.runtime.precision}",
            "finite outputs of the network",
            "set runtime.precision to fp32; if it stays so, the weights are not this network's",
        )
    step = row["step_seconds"] * extractor.rows_per_vector
    return feature_row(row["video_id"], vectors, row["start_seconds"], step)


def _report(extractor: Extractor, timing: Timing, wall: float) -> None:
    """Log where the time went; the network's share is that of all workers' time."""
    workers = extractor.runtime.workers
    log.info(
        "%s: %d vectors in %.1f s (%.2f a second, %.2f x real time); network %.1f s on %d workers "
        "(%.0f %% of their time), waiting for input %.1f s, writing %.1f s",
        extractor.name,
        timing.vectors,
        wall,
        timing.vectors / wall,
        timing.media_seconds / wall,
        timing.network,
        workers,
        100 * timing.network / (wall * workers),
        timing.waiting,
        timing.writing,
    )
