"""Frames of a decoded shard as batches for a network.

Conventions
-----------
- An item is what the network turns into one vector: at most `frames_per_item` frames, uint8 RGB (F, H, W, 3); only the
  last item of a video can be shorter.
- A batch holds items of one frame size from consecutive videos. Rows that are not `ok` pass through without items.
- Memory holds a part of one video's compressed frames and one batch, whatever the length of the videos; of sound it
  holds the part that was read last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mcn.errors import DamagedShard, VideoError
from mcn.media.lossless import decode_rgb
from mcn.shards import ShardReader, feature_sequence
from mcn.shards.parts import Parts, Samples


class Part(NamedTuple):
    """What a batch holds of one video: how many vectors it will give, and whether they are its last.

    row: the source's row without its blob. vectors: None where only the encoder knows: all of the batch.
    """

    row: dict[str, Any]
    vectors: int | None
    last: bool


@dataclass
class Batch:
    """Items of consecutive videos in order; a video that is not `ok` has one part of no vectors."""

    items: list[Any] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)


def batches_of(
    reader: ShardReader, frames_per_item: int, batch_size: int, readers: int = 1
) -> Iterator[Batch]:
    """The items of every video of a shard, in order, in batches of one frame size; `readers` threads decode frames."""
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(readers)) if readers > 1 else None
        items_of = partial(
            frame_items_of, frames_per_item=frames_per_item, pool=pool, ahead=readers
        )
        yield from _batches(reader, items_of, batch_size)


def _batches(
    reader: ShardReader,
    items_of: Callable[[dict[str, Any], Path], Iterator[np.ndarray]],
    batch_size: int,
) -> Iterator[Batch]:
    batch = Batch()
    for row in reader.lazily():
        head = {name: value for name, value in row.items() if name != "video"}
        if row["status"] != "ok":
            batch.parts.append(Part(head, 0, True))
            continue
        unsent = 0
        for item in items_of(row, reader.path):
            if len(batch.items) == batch_size or _other_size(batch, item):
                batch.parts.append(Part(head, unsent, False))
                yield batch
                batch, unsent = Batch(), 0
            batch.items.append(item)
            unsent += 1
        batch.parts.append(Part(head, unsent, True))
    if batch.parts:
        yield batch


def whole_videos(reader: ShardReader) -> Iterator[Batch]:
    """A batch a video: its sound, `Samples` (N,), or its rows of another feature, (T, D) as stored.

    Sound that is not finite fails with `decode_error`.
    """
    for row in reader.lazily():
        head = {name: value for name, value in row.items() if not isinstance(value, Parts)}
        values: Samples | np.ndarray | None = None
        if row["status"] == "ok" and "samples" in row:
            values = Samples(row["samples"])
            if not values.finite:
                error = VideoError("decode_error", "waveform holds NaN or infinity")
                head |= {"status": "failed", "error": str(error)}
                values = None
        elif row["status"] == "ok":
            (blob,) = row["features"]
            values = feature_sequence({**row, "features": blob}).values
        yield (
            Batch([], [Part(head, 0, True)])
            if values is None
            else Batch([values], [Part(head, None, True)])
        )


def _other_size(batch: Batch, item: np.ndarray) -> bool:
    return bool(batch.items) and batch.items[0].shape[1:] != item.shape[1:]


def frame_items_of(
    row: dict[str, Any],
    path: Path,
    frames_per_item: int,
    pool: ThreadPoolExecutor | None = None,
    ahead: int = 1,
) -> Iterator[np.ndarray]:
    """The frames of a row in groups of `frames_per_item`, the last group maybe shorter; as `decode_rgb`."""
    frames = 0
    try:
        for item in decode_rgb(row["video"], frames_per_item, pool, ahead):
            frames += len(item)
            yield item
    except (OSError, ValueError) as error:
        raise DamagedShard(path, f"frames of {row['video_id']}: {error}") from error
    if frames != row["length"]:
        raise DamagedShard(path, f"{row['video_id']}: {frames} frames of {row['length']}")
