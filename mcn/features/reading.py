"""Frames of a decoded shard as batches for a network.

Conventions
-----------
- An item is what the network turns into one vector: at most `frames_per_item` frames, uint8 RGB (F, H, W, 3); only the
  last item of a video can be shorter.
- A batch holds items of one frame size from consecutive videos. Rows that are not `ok` pass through without items.
- Memory holds a part of one video's compressed frames and one batch, whatever the length of the videos, times the
  number of threads that read; of sound it holds the part that was read last.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mcn.errors import DamagedShard, VideoError
from mcn.features.parallel import ReadAhead
from mcn.media.lossless import decode_rgb
from mcn.shards import ShardReader, feature_sequence
from mcn.shards.parts import Parts, Samples

GROUP = 16  # items that a thread hands over at a time


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
) -> Generator[Batch, None, None]:
    """The items of every video of a shard, in order, in batches of one frame size; `readers` threads decode videos."""
    videos = _videos if readers == 1 else partial(_videos_ahead, readers=readers, depth=batch_size)
    batch = Batch()
    with contextlib.closing(videos(reader, frames_per_item)) as found:
        for head, items in found:
            unsent = 0
            for item in items:
                if len(batch.items) == batch_size or _other_size(batch, item):
                    batch.parts.append(Part(head, unsent, False))
                    yield batch
                    batch, unsent = Batch(), 0
                batch.items.append(item)
                unsent += 1
            batch.parts.append(Part(head, unsent, True))
    if batch.parts:
        yield batch


Videos = Generator[tuple[dict[str, Any], Iterator[np.ndarray]], None, None]


def _videos(reader: ShardReader, frames_per_item: int) -> Videos:
    """Every row without its blob, and its items."""
    for row in reader.lazily():
        yield _head(row), frame_items_of(row, reader.path, frames_per_item)


def _videos_ahead(reader: ShardReader, frames_per_item: int, readers: int, depth: int) -> Videos:
    """As `_videos`; `readers` videos are decoded side by side, `depth` items of each before they are wanted."""
    opened = [ShardReader(reader.path, reader.kind) for _ in range(readers)]
    free = queue.SimpleQueue[ShardReader]()  # one each: no open file may be read by two threads
    for own in opened:
        free.put(own)

    def items(index: int) -> Iterator[list[np.ndarray]]:
        mine = free.get()
        try:
            found = frame_items_of(mine.lazy(index), reader.path, frames_per_item)
            while group := list(itertools.islice(found, GROUP)):
                yield group
        finally:
            free.put(mine)

    running: deque[ReadAhead[list[np.ndarray]]] = deque()
    indices = iter(range(len(reader)))
    try:
        for row in reader.lazily():
            while len(running) < readers and (index := next(indices, None)) is not None:
                running.append(ReadAhead(items(index), -(-depth // GROUP)))
            yield _head(row), itertools.chain.from_iterable(running[0])
            running.popleft().close()
    finally:
        for one in running:
            one.close()
        for own in opened:
            own.close()


def _head(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "video"}


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


def frame_items_of(row: dict[str, Any], path: Path, frames_per_item: int) -> Iterator[np.ndarray]:
    """The frames of a row in groups of `frames_per_item`, the last group maybe shorter; none where it is not ok."""
    if row["status"] != "ok":
        return
    frames = 0
    try:
        for item in decode_rgb(row["video"], frames_per_item):
            frames += len(item)
            yield item
    except (OSError, ValueError) as error:
        raise DamagedShard(path, f"frames of {row['video_id']}: {error}") from error
    if frames != row["length"]:
        raise DamagedShard(path, f"{row['video_id']}: {frames} frames of {row['length']}")
