"""RGB frames at fixed rates: one decoding pass over a file feeds one FFmpeg filter graph for each rate.

Conventions
-----------
- The graph is `fps=R:start_time=0 [, rotation] , scale=W:H [, crop=C:C:X:Y] , format=rgb24`, run by libavfilter in
  this process; its frames equal those of the ffmpeg program for the same filters byte for byte (tested).
- Row i stands for the span from i / R to (i + 1) / R seconds from container start and shows its middle: `fps` rounds
  timestamps to the nearest, so the row is the last picture stamped before (i + 1/2) / R. Where the video stream starts
  later than the container, its first picture fills the rows before. Pictures are repeated or dropped as their times
  say, so variable frame rates need no care.
- The picture is turned upright first (display matrix), as ffmpeg and every player do; sizes are those of the upright
  picture. Non-square pixels are left as they are.
- Sizes follow antoine77340/video_feature_extractor: the short side exactly, the long side truncated to an integer
  and not cropped; the crop is centred, offsets truncated.
- A stream with pictures gives at least one row: where a clip is so short that `fps` rounds it away, its first picture.
- Frames are uint8 (H, W, 3). Memory does not grow with the length of the video.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mcn.errors import VideoError
from mcn.media.files import MICROSECOND, open_media, seek, select_video
from mcn.media.remarks import Remarks
from mcn.media.streams import DecodedStream, repeats
from mcn.options.decode import FrameOptions

MAXIMUM_SIDE = 16_000  # pixels; no camera makes such a shape

_EARLIER_SECONDS = (0.0, 5.0, 30.0, math.inf)  # before a wanted picture, to start reading from


def orientation(frame: VideoFrame) -> list[tuple[str, str]]:
    """Filters that turn a frame upright, from its display matrix; what the ffmpeg program inserts (`-autorotate`)."""
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return []
    m = np.frombuffer(bytes(cast(Buffer, side_data)), np.int32, 9).astype(float)
    columns = math.hypot(m[0], m[3]), math.hypot(m[1], m[4])
    if 0 in columns:
        return []
    degrees = round(math.degrees(math.atan2(m[1] / columns[1], m[0] / columns[0]))) % 360
    if abs(degrees - 90) < 1:
        return [("transpose", "cclock_flip" if m[3] > 0 else "clock")]
    if abs(degrees - 180) < 1:
        return [(name, "") for name, value in (("hflip", m[0]), ("vflip", m[4])) if value < 0]
    if abs(degrees - 270) < 1:
        return [("transpose", "clock_flip" if m[3] < 0 else "cclock")]
    if degrees > 1:
        return [("rotate", f"{degrees:f}*PI/180")]
    return [("vflip", "")] if m[4] < 0 else []


def upright_size(frame: VideoFrame) -> tuple[int, int]:
    """(width, height) of the frame once it is turned upright."""
    turned = any(name == "transpose" for name, _ in orientation(frame))
    return (frame.height, frame.width) if turned else (frame.width, frame.height)


def scaled_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """(width, height) with the short side as wanted; 640, 360, 224 -> 398, 224. Errors: `decode_error` if absurd."""
    if height >= width:
        size = short_side, int(height * short_side / width)
    else:
        size = int(width * short_side / height), short_side
    if max(size) > MAXIMUM_SIDE:
        shape = f"a picture of {width}x{height} would become {size[0]}x{size[1]}"
        raise VideoError("decode_error", f"{shape}, more than {MAXIMUM_SIDE} pixels a side")
    return size


def picture_filters(frame: VideoFrame, short_side: int, crop: int | None) -> list[tuple[str, str]]:
    """Filters from a decoded frame to the RGB picture: upright, scaled, cropped."""
    width, height = scaled_size(*upright_size(frame), short_side)
    chain = [*orientation(frame), ("scale", f"{width}:{height}")]
    if crop is not None:
        chain.append(("crop", f"{crop}:{crop}:{(width - crop) // 2}:{(height - crop) // 2}"))
    return [*chain, ("format", "rgb24")]


class _Chain:
    """A linear filter graph that starts with frames like `frame`."""

    def __init__(self, frame: VideoFrame, filters: Sequence[tuple[str, str]]) -> None:
        self._graph = graph = Graph()
        graph.threads = 1
        source = graph.add(
            "buffer",
            video_size=f"{frame.width}x{frame.height}",
            pix_fmt=frame.format.name,
            time_base=str(frame.time_base),
            pixel_aspect="1/1",
            colorspace=str(int(frame.colorspace)),
            range=str(int(frame.color_range)),
        )
        nodes = [graph.add(name, arguments or None) for name, arguments in filters]
        graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()

    def pictures(self, frame: VideoFrame | None) -> Iterator[np.ndarray]:
        """Push a frame, or None at the end, and take what comes out: uint8 (H, W, 3)."""
        self._graph.push(frame)
        while True:
            try:
                picture = self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield picture.to_ndarray()


class _Sampler:
    """One rate and size of one video."""

    def __init__(self, frame: VideoFrame, options: FrameOptions) -> None:
        self._filters = picture_filters(frame, options.short_side, options.crop)
        rate = Fraction(options.frames_per_second).limit_denominator(1001)
        self._chain = _Chain(frame, [("fps", f"fps={rate}:start_time=0"), *self._filters])
        self._first = frame
        self._rows = 0

    def pictures(self, frame: VideoFrame | None) -> Iterator[np.ndarray]:
        for picture in self._chain.pictures(frame):
            self._rows += 1
            yield picture
        if frame is None and self._rows == 0:
            yield from _Chain(self._first, self._filters).pictures(self._first)


def rgb_frames(
    path: Path,
    rates: Sequence[FrameOptions],
    tolerated_errors: int = 0,
    remarks: Remarks | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Decode a file once; yield (index into `rates`, uint8 (H, W, 3)) in time order for each index.

    remarks: filled in by the end.
    Errors, before or while iterating: those of `open_media` and `DecodedStream`; `no_video_stream`, `no_frames`.
    """
    with open_media(path) as container:
        stream = select_video(container)
        samplers: list[_Sampler] = []
        for frame in DecodedStream(container, stream, tolerated_errors, remarks):
            assert isinstance(frame, VideoFrame)
            if not samplers:
                shape = _shape(frame)
                samplers = [_Sampler(frame, options) for options in rates]
            elif _shape(frame)[2:] != shape[2:] or (orientation(frame) and _shape(frame) != shape):
                raise VideoError(
                    "decode_error", f"the picture changes from {shape} to {_shape(frame)}"
                )
            yield from _feed(samplers, frame)
        if not samplers:
            raise VideoError("no_frames", "the video stream yields not a single picture")
        yield from _feed(samplers, None)


def _shape(frame: VideoFrame) -> tuple[int, int, str, tuple[tuple[str, str], ...]]:
    return frame.width, frame.height, frame.format.name, tuple(orientation(frame))


def _feed(
    samplers: Sequence[_Sampler], frame: VideoFrame | None
) -> Iterator[tuple[int, np.ndarray]]:
    for index, sampler in enumerate(samplers):
        for picture in sampler.pictures(frame):
            yield index, picture


def frame_at(path: Path, seconds: float, short_side: int) -> np.ndarray:
    """The upright picture shown at `seconds` from container start, uint8 (H, W, 3); the first or last beyond the ends.

    Seeks to the key frame before, so its cost does not grow with the length of the video; formats without an index
    (MPEG-TS) may land behind it, and are then read from ever earlier. Errors: see `rgb_frames`.
    """
    for earlier in _EARLIER_SECONDS:
        begin = max(0.0, seconds - earlier)
        with open_media(path) as container:
            stream = select_video(container)
            if begin:
                seek(container, begin)
            shown, late = _shown_at(container, stream, seconds)
            if begin and (shown is None or late):
                continue
            if shown is None:
                break
            return next(_Chain(shown, picture_filters(shown, short_side, None)).pictures(shown))
    raise VideoError("no_frames", f"no picture at {seconds:.2f} s")


def _shown_at(
    container: InputContainer, stream: VideoStream, seconds: float
) -> tuple[VideoFrame | None, bool]:
    """The picture shown at `seconds`, reading from here; whether the first picture read comes later than that."""
    shown, late = None, False
    for packet in container.demux(stream):
        for frame in () if repeats(packet) else packet.decode():
            assert isinstance(frame, VideoFrame)
            stamp = frame.pts if frame.pts is not None else frame.dts
            after = stamp is not None and _seconds(frame, stamp, container) > seconds
            if shown is None:
                shown, late = frame, after
            elif stamp is None or after:
                return shown, late
            else:
                shown = frame
    return shown, late


def _seconds(frame: VideoFrame, stamp: int, container: InputContainer) -> float:
    assert frame.time_base is not None
    return float(stamp * frame.time_base - (container.start_time or 0) * MICROSECOND)
