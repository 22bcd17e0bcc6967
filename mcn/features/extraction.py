"""Run a network over a shard: batches across videos, workers side by side, one row a video in order.

Conventions
-----------
- Every batch of frames has the same number of rows: the last of a frame size is filled up with black items, and the
  last item of a video with black frames, or with its last frame (`repeats_last_frame`). Convolutions may round
  differently for another batch size; so the bytes of a video depend on its own frames and the recipe alone, not on its
  neighbours in the shard.
- On a CPU each of `threads` workers computes whole batches on one thread: convolutions may also round differently when
  they are split over threads; and nobody waits for anybody inside a layer.
- On a GPU a few workers take turns (`mcn.features.frame_networks`).
- Rows that are not `ok` are passed on with their error, and those that are with their remarks. Features are finite,
  and >= 0 behind a ReLU, or the run stops.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from mcn.errors import UserError
from mcn.features.parallel import ReadAhead, Timing, in_order
from mcn.features.reading import Batch, batches_of, whole_videos
from mcn.shards import FEATURE_SCHEMA, ShardReader, ShardWriter, empty_row, feature_row

if TYPE_CHECKING:  # it imports PyTorch, which log-mels need not wait for
    from mcn.features.runtime import Runtime

log = logging.getLogger(__name__)

BATCHES_AHEAD = 2  # a worker


class FrameItems(NamedTuple):
    """How frames reach a network: so many frames a vector, so many vectors a batch."""

    frames: int
    batch_size: int


def plain_memory(size: tuple[int, ...]) -> np.ndarray:
    """A new uint8 array of a size, in which anything may stand."""
    return np.empty(size, np.uint8)


@dataclass(frozen=True)
class Extractor:
    """What computes a feature, and how a shard reaches it.

    encode: frames uint8 (batch_size, F, H, W, 3), or the whole sound (N,) or other feature (T, D) of a video ->
    vectors float32 (n, D), float16 where they are stored as they are. workers: calls side by side. recipe: all that
    changes the numbers but the source's own recipe, which `extract` adds. items: of frames; None where whole videos are
    given. rows_per_vector: rows of the source that a vector stands for; step_seconds: what they come to, where the
    source is sound. ends_in_relu: vectors are never negative. repeats_last_frame: what fills up the last item of a
    video; otherwise black. readers: threads that decode frames. memory: gives an array for a batch of frames; `encode`
    is done with it when it returns. network: whether PyTorch computes, which takes half a gigabyte. place: where and
    how exactly it does.
    """

    name: str
    encode: Callable[[Any], np.ndarray]
    workers: int
    recipe: dict[str, Any]
    items: FrameItems | None = None
    rows_per_vector: int = 1
    step_seconds: float | None = None
    ends_in_relu: bool = False
    repeats_last_frame: bool = False
    readers: int = 1
    memory: Callable[[tuple[int, ...]], np.ndarray] = plain_memory
    network: bool = True
    place: Runtime | None = None

    @property
    def kind(self) -> str:
        """Of the shards that are read."""
        if self.items is not None:
            return "frames"
        return "features" if self.step_seconds is None else "audio"

    def batches(self, reader: ShardReader) -> Iterator[Batch]:
        """The work in a shard."""
        if self.items is not None:
            return batches_of(reader, *self.items, self.readers)
        return whole_videos(reader)

    def compute(self, batch: Batch) -> np.ndarray:
        """Vectors of all parts of a batch, one after the other."""
        if not batch.items:
            return np.zeros((0, 0), np.float32)
        if self.items is None:
            return self.encode(batch.items[0])
        size = (self.items.batch_size, self.items.frames, *batch.items[0].shape[1:])
        filled = self.memory(size)
        for row, item in zip(filled, batch.items, strict=False):
            row[: len(item)] = item
            row[len(item) :] = item[-1] if self.repeats_last_frame else 0
        filled[len(batch.items) :] = 0
        return self.encode(filled)[: len(batch.items)]

    def step(self, row: dict[str, Any]) -> float:
        """Seconds between two vectors of a video."""
        if self.step_seconds is not None:
            return self.step_seconds
        return float(row["step_seconds"] * self.rows_per_vector)


def extract(source: Path, output: Path, extractor: Extractor) -> Timing:
    """Write the features of the shard `source` to `output`, one row a video in the same order; logs where time went."""
    reader = ShardReader(source, extractor.kind)
    recipe = {**extractor.recipe, "decoded": reader.recipe}
    inputs = reader.origin.inputs if reader.origin else ""
    timing, began = Timing(), time.perf_counter()
    ready = ReadAhead(extractor.batches(reader), BATCHES_AHEAD * extractor.workers)
    with (
        contextlib.closing(ready),
        _arithmetic(extractor) as (compute, begin),
        ShardWriter(output, FEATURE_SCHEMA, recipe, inputs=inputs) as writer,
        tqdm(total=len(reader), desc=extractor.name, unit="video", disable=None) as progress,
    ):
        results = in_order(ready, compute, extractor.workers, timing, begin)
        for row, vectors in videos_of(results):
            start = time.perf_counter()
            made = _feature_row(row, vectors, extractor)
            writer.write(made)
            timing.writing += time.perf_counter() - start
            timing.vectors += len(vectors)
            timing.media_seconds += len(vectors) * (made["step_seconds"] or 0.0)
            progress.update()
    reader.close()
    _report(extractor, timing, time.perf_counter() - began)
    return timing


@contextlib.contextmanager
def _arithmetic(
    extractor: Extractor,
) -> Iterator[tuple[Callable[[Batch], np.ndarray], Callable[[], None] | None]]:
    """What computes a batch, and what each worker does first: on one thread, without gradients, repeatable."""
    if not extractor.network:
        yield extractor.compute, None
        return
    import torch

    from mcn.features.runtime import repeatable

    with repeatable(extractor.place):
        yield torch.inference_mode()(extractor.compute), functools.partial(torch.set_num_threads, 1)


def videos_of(
    results: Iterator[tuple[Batch, np.ndarray]],
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Each video's source row and all of its vectors (T, D); (0, 0) where it is not ok."""
    pending = [np.zeros((0, 0), np.float32)]
    for batch, vectors in results:
        first = 0
        for part in batch.parts:
            count = len(vectors) if part.vectors is None else part.vectors
            if count:
                pending.append(vectors[first : first + count])
            first += count
            if part.last:
                found = pending[1:] or pending
                yield part.row, found[0] if len(found) == 1 else np.concatenate(found)
                pending = pending[:1]


def _feature_row(row: dict[str, Any], vectors: np.ndarray, extractor: Extractor) -> dict[str, Any]:
    if row["status"] != "ok":
        return empty_row(FEATURE_SCHEMA, row["video_id"], row["status"], row["error"])
    least = 0.0 if extractor.ends_in_relu else -np.inf
    if not (np.isfinite(vectors).all() and (vectors >= least).all()):
        raise UserError(
            f"{row['video_id']}: {extractor.name} gives NaN, infinite or (behind a ReLU) negative features in "
            f"{extractor.recipe.get('precision', 'fp32')}",
            "finite outputs of the network",
            "set runtime.precision to fp32; if it stays so, the weights are not this network's",
        )
    made = feature_row(row["video_id"], vectors, row["start_seconds"], extractor.step(row))
    return {**made, "error": row["error"]}


def _report(extractor: Extractor, timing: Timing, wall: float) -> None:
    """Log where the time went; the network's share is that of all workers' time."""
    workers = extractor.workers
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
