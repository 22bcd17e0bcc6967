"""RGB frames as bytes and back, exactly: x264 RGB at qp 0 in Matroska.

Conventions
-----------
- Frames are uint8 (H, W, 3), all of one size, any from 1x1 to 16,000 pixels a side.
- The bytes depend on the frames and the library versions alone: one thread, no B-frames, no dates, names or random ids.
- Any player shows the file (24 frames a second, whatever rate the frames stand for).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import av
import numpy as np
from av.video.stream import VideoStream

_CODEC = "libx264rgb"
_CODEC_OPTIONS = {"qp": "0", "preset": "ultrafast", "bf": "0", "threads": "1"}
_BITEXACT = 1 << 23  # AV_CODEC_FLAG_BITEXACT: no encoder name in the stream


class LosslessWriter:
    """Write frames one by one into a file; a context manager. `length`, `height`, `width` say what was written."""

    def __init__(self, target: Path | BinaryIO) -> None:
        self._container = av.open(
            f"file:{target}" if isinstance(target, Path) else target,
            "w",
            format="matroska",
            options={"fflags": "+bitexact"},
        )
        self._stream: VideoStream | None = None
        self.length = self.height = self.width = 0

    def __enter__(self) -> LosslessWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None and self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def write(self, frame: np.ndarray) -> None:
        """Append one frame; ValueError where it is not uint8 RGB of the size of those before."""
        if self._stream is None:
            self._stream = self._open(frame)
        if frame.dtype != np.uint8 or frame.shape != (self.height, self.width, 3):
            wanted = f"uint8 {(self.height, self.width, 3)}"
            raise ValueError(f"frame {self.length} is {frame.dtype} {frame.shape}, wanted {wanted}")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        self._container.mux(self._stream.encode(picture))
        self.length += 1

    def _open(self, frame: np.ndarray) -> VideoStream:
        if frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"a frame of shape {frame.shape}, wanted (height, width, 3)")
        self.height, self.width = frame.shape[:2]
        stream = self._container.add_stream(_CODEC, rate=24, options=dict(_CODEC_OPTIONS))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = self.width, self.height, "rgb24"
        stream.codec_context.flags |= _BITEXACT
        stream.codec_context.thread_count = 1
        return stream


def decode_rgb(data: bytes, batch: int) -> Iterator[np.ndarray]:
    """Yield the frames of a file of `LosslessWriter` in order: uint8 (n, H, W, 3), n == batch except for the last."""
    if batch < 1:
        raise ValueError(f"batch {batch}, wanted at least 1")
    with av.open(io.BytesIO(data), "r", format="matroska") as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames: list[np.ndarray] = []
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == batch:
                yield np.stack(frames)
                frames = []
        if frames:
            yield np.stack(frames)
