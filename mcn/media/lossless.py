"""RGB frames as bytes and back, exactly: blocks of frames, compressed by zstd.

Conventions
-----------
- Frames are uint8 (H, W, 3), all of one size, any from 1x1 to 16,000 pixels a side.
- A file is blocks one after the other. A block is `HEADER`, little-endian (the letters MCNF; 1 where frames behind its
  first are differences from the frame before, modulo 256, else 0; height; width; number of frames; number of bytes),
  and those bytes, which zstd makes frames of. Where a block holds many frames, it holds a multiple of `TOGETHER`.
- Differences are stored where they make the first block of a video smaller: pictures of a moment resemble each other,
  those of a second often do not.
- The bytes depend on the frames and the library versions alone.
- Earlier versions stored a Matroska file of x264 RGB at qp 0. Such files are read, ten times as slowly.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mcn.shards.parts import PART_BYTES, Parts, parts_of

BLOCK_BYTES = 2 << 20  # of frames: they stay in a processor's cache
TOGETHER = 16  # frames of most items: an item in one block need not be copied
MAGIC, MATROSKA = b"MCNF", b"\x1a\x45\xdf\xa3"
HEADER = struct.Struct("<4sB3xIIIQ")
LEVEL = 1  # of zstd; level 3 takes half as long again for a tenth less


class LosslessWriter:
    """Write frames one by one into a file; a context manager. `length`, `height`, `width` say what was written.

    What is longer than `part_bytes` goes on in a file of its own, whose name is numbered; `files` are all of them.
    """

    def __init__(self, target: Path, part_bytes: int = PART_BYTES) -> None:
        self._target, self._part_bytes = target, part_bytes
        self.length = self.height = self.width = 0
        self.files: list[Path] = []
        self._block = np.zeros((0, 0, 0, 3), np.uint8)
        self._filled = 0
        self._differences: bool | None = None
        self._codec = pa.Codec("zstd", LEVEL)
        self._begin()

    def _begin(self) -> None:
        number = len(self.files)
        name = f"{self._target.name}.{number}" if number else self._target.name
        self.files.append(self._target.with_name(name))
        self._file = open(self.files[-1], "wb")  # noqa: SIM115 (until it is full, or `__exit__`)

    def __enter__(self) -> LosslessWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None and self._filled:
            self._write_block()
        self._file.close()

    def write(self, frame: np.ndarray) -> None:
        """Append one frame; ValueError where it is not uint8 RGB of the size of those before."""
        if not self.length:
            self._open(frame)
        if frame.dtype != np.uint8 or frame.shape != (self.height, self.width, 3):
            wanted = f"uint8 {(self.height, self.width, 3)}"
            raise ValueError(f"frame {self.length} is {frame.dtype} {frame.shape}, wanted {wanted}")
        if self._filled == len(self._block):
            self._write_block()
            if self._file.tell() >= self._part_bytes:
                self._file.close()
                self._begin()
        self._block[self._filled] = frame
        self._filled += 1
        self.length += 1

    def _open(self, frame: np.ndarray) -> None:
        if frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"a frame of shape {frame.shape}, wanted (height, width, 3)")
        self.height, self.width = frame.shape[:2]
        frames = min(BLOCK_BYTES, self._part_bytes) // (self.height * self.width * 3)
        frames = max(1, frames if frames < TOGETHER else frames // TOGETHER * TOGETHER)
        self._block = np.empty((frames, self.height, self.width, 3), np.uint8)

    def _write_block(self) -> None:
        frames = self._block[: self._filled]
        candidates = {
            differences: self._codec.compress(pa.py_buffer(_stored(frames, differences)))
            for differences in (False, True)
            if self._differences in (None, differences)
        }
        self._differences = min(candidates, key=lambda one: candidates[one].size)
        data = candidates[self._differences]
        shape = self.height, self.width, self._filled
        self._file.write(HEADER.pack(MAGIC, self._differences, *shape, data.size))
        self._file.write(data)
        self._filled = 0


def _stored(frames: np.ndarray, differences: bool) -> np.ndarray:
    """Frames, or the first frame and the differences between neighbours."""
    if not differences:
        return frames
    stored = frames.copy()
    stored[1:] -= frames[:-1]
    return stored


class Block(NamedTuple):
    """A block of a file as it is stored."""

    differences: bool
    shape: tuple[int, int, int, int]
    data: pa.Buffer

    def frames(self) -> np.ndarray:
        """Uint8 (n, H, W, 3)."""
        size = int(np.prod(self.shape))
        frames = np.frombuffer(pa.decompress(self.data, size, "zstd"), np.uint8).reshape(self.shape)
        if self.differences:
            for before, frame in pairwise(frames):
                np.add(before, frame, out=frame)
        return frames


def decode_rgb(blob: bytes | Parts, batch: int) -> Iterator[np.ndarray]:
    """Yield the frames of the files of a `LosslessWriter` in order: uint8 (n, H, W, 3), n == batch but for the last.

    Bytes that are no frames: ValueError or OSError.
    """
    if batch < 1:
        raise ValueError(f"batch {batch}, wanted at least 1")
    gathered: list[np.ndarray] = []
    wanted = batch
    for frames in _decoded(parts_of(blob)):
        start = 0
        while start < len(frames):
            taken = frames[start : start + wanted]
            gathered.append(taken)
            start, wanted = start + len(taken), wanted - len(taken)
            if not wanted:
                yield gathered[0] if len(gathered) == 1 else np.concatenate(gathered)
                gathered, wanted = [], batch
    if gathered:
        yield np.concatenate(gathered)


def _decoded(parts: Parts) -> Iterator[np.ndarray]:
    """The frames of all parts, some at a time."""
    for part in parts:
        if bytes(part[: len(MATROSKA)]) == MATROSKA:
            yield from _matroska_frames(part)
        else:
            yield from (block.frames() for block in _blocks(part))
        del part  # before the next one is read


def _blocks(part: pa.Buffer) -> Iterator[Block]:
    start = 0
    while start < part.size:
        head = bytes(part[start : start + HEADER.size])
        if len(head) < HEADER.size or head[:4] != MAGIC:
            raise ValueError("no block of frames")
        _, differences, height, width, frames, size = HEADER.unpack(head)
        start += HEADER.size
        data = part[start : start + size]
        if data.size != size:
            raise ValueError("a block of frames that is cut short")
        yield Block(bool(differences), (frames, height, width, 3), data)
        start += size


def _matroska_frames(part: pa.Buffer) -> Iterator[np.ndarray]:
    import av  # where there are no such files, machines without it can read frames

    try:
        with av.open(pa.BufferReader(part), "r", format="matroska") as container:
            container.streams.video[0].codec_context.thread_count = 1
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")[None]
    except av.FFmpegError as error:
        raise ValueError(str(error)) from error
