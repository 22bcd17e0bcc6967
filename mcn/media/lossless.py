"""RGB frames as bytes and back, exactly: x264 RGB at qp 0 in Matroska.

Conventions
-----------
- Frames are uint8 (H, W, 3), all of one size, any from 1x1 to 16,000 pixels a side.
- The bytes depend on the frames and the library versions alone: one thread, no B-frames, no dates, names or random ids.
- Any player shows the file (24 frames a second, whatever rate the frames stand for).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import av
import numpy as np
import pyarrow as pa
from av.video.stream import VideoStream

from mcn.shards.parts import PART_BYTES, Parts, parts_of

_CODEC = "libx264rgb"
_CODEC_OPTIONS = {"qp": "0", "preset": "ultrafast", "bf": "0", "threads": "1"}
_BITEXACT = 1 << 23  # AV_CODEC_FLAG_BITEXACT: no encoder name in the stream


class LosslessWriter:
    """Write frames one by one into a file; a context manager. `length`, `height`, `width` say what was written.

    What is longer than `part_bytes` goes on in a file of its own, whose name is numbered; `files` are all of them.
    """

    def __init__(self, target: Path, part_bytes: int = PART_BYTES) -> None:
        self._target, self._part_bytes = target, part_bytes
        self.length = self.height = self.width = 0
        self.files: list[Path] = []
        self._begin()

    def _begin(self) -> None:
        number = len(self.files)
        name = f"{self._target.name}.{number}" if number else self._target.name
        self.files.append(self._target.with_name(name))
        file, options = f"file:{self.files[-1]}", {"fflags": "+bitexact"}
        self._container = av.open(file, "w", format="matroska", options=options)
        self._stream: VideoStream | None = None
        self._bytes = 0

    def __enter__(self) -> LosslessWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._finish(whole=kind is None)

    def _finish(self, whole: bool) -> None:
        if whole and self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def write(self, frame: np.ndarray) -> None:
        """Append one frame; ValueError where it is not uint8 RGB of the size of those before."""
        if self._bytes >= self._part_bytes:
            self._finish(whole=True)
            self._begin()
        if self._stream is None:
            self._stream = self._open(frame)
        if frame.dtype != np.uint8 or frame.shape != (self.height, self.width, 3):
            wanted = f"uint8 {(self.height, self.width, 3)}"
            raise ValueError(f"frame {self.length} is {frame.dtype} {frame.shape}, wanted {wanted}")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        packets = self._stream.encode(picture)
        self._bytes += sum(packet.size for packet in packets)
        self._container.mux(packets)
        self.length += 1

    def _open(self, frame: np.ndarray) -> VideoStream:
        if frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"a frame of shape {frame.shape}, wanted (height, width, 3)")
        if self.length == 0:
            self.height, self.width = frame.shape[:2]
        stream = self._container.add_stream(_CODEC, rate=24, options=dict(_CODEC_OPTIONS))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = self.width, self.height, "rgb24"
        stream.codec_context.flags |= _BITEXACT
        stream.codec_context.thread_count = 1
        return stream


def decode_rgb(blob: bytes | Parts, batch: int) -> Iterator[np.ndarray]:
    """Yield the frames of the files of a `LosslessWriter` in order: uint8 (n, H, W, 3), n == batch but for the last."""
    if batch < 1:
        raise ValueError(f"batch {batch}, wanted at least 1")
    frames: list[np.ndarray] = []
    for frame in _decoded(parts_of(blob)):
        frames.append(frame)
        if len(frames) == batch:
            yield np.stack(frames)
            frames = []
    if frames:
        yield np.stack(frames)


def _decoded(parts: Parts) -> Iterator[np.ndarray]:
    for part in parts:
        with av.open(pa.BufferReader(part), "r", format="matroska") as container:
            container.streams.video[0].codec_context.thread_count = 1
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")
        del part, container  # before the next one is read
