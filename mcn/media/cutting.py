"""A moment of a media file as a file of its own: H.264 and AAC in mp4, cut at the frame.

Conventions: pictures and sound are decoded from the key frame before the moment and encoded again, upright, so that
the cut is exact and every player shows it. Times count from container start; the clip starts at 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.frame import VideoFrame

from mcn.errors import VideoError
from mcn.files import atomic_path
from mcn.media.files import offset_ticks, open_media, seek, select_audio, select_video
from mcn.media.frames import orientation, upright_size

_TICKS = Fraction(1, 90_000)
_RATE = 44_100


def cut(path: Path, start: float, end: float, output: Path) -> None:
    """Write the stretch [start, end) s of a file as `output` (.mp4), atomically.

    Errors: those of `open_media`; `no_frames` where the stretch has neither pictures nor sound.
    """
    with atomic_path(output) as temporary, av.open(str(temporary), "w", format="mp4") as target:
        with open_media(path) as source:
            video = _optional(select_video, source)
        with open_media(path) as source:
            audio = _optional(select_audio, source)
        if video:
            pictures = target.add_stream("libx264", rate=25, options={"preset": "veryfast"})
            pictures.pix_fmt, pictures.codec_context.time_base = "yuv420p", _TICKS
        if audio:
            sound = target.add_stream("aac", rate=_RATE, layout="stereo")
        written = 0
        if video:
            with open_media(path) as source:
                written += _write(target, pictures, _pictures(source, start, end, pictures))
        if audio:
            with open_media(path) as source:
                written += _write(target, sound, _sound(source, start, end))
        if not written:
            raise VideoError("no_frames", f"nothing from {start:.1f} to {end:.1f} s")


def _optional(select: object, source: InputContainer) -> bool:
    try:
        select(source)  # type: ignore[operator]
    except VideoError:
        return False
    return True


def _write(
    target: OutputContainer, stream: Stream, frames: Iterator[VideoFrame | AudioFrame]
) -> int:
    count = 0
    for frame in frames:
        target.mux(stream.encode(frame))  # type: ignore[attr-defined]
        count += 1
    if count:
        target.mux(stream.encode(None))  # type: ignore[attr-defined]
    return count


def _within(
    source: InputContainer, stream: Stream, start: float, end: float
) -> Iterator[tuple[float, VideoFrame | AudioFrame]]:
    """Frames of a stretch with their seconds from its start; what cannot be decoded is passed over."""
    assert stream.time_base is not None
    offset = offset_ticks(source, stream.time_base)
    seek(source, start)
    for packet in source.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            if not isinstance(frame, VideoFrame | AudioFrame) or frame.pts is None:
                continue
            seconds = float((frame.pts - offset) * stream.time_base)
            if seconds >= end:
                return
            if seconds >= start - 1e-3:
                yield max(0.0, seconds - start), frame


def _pictures(
    source: InputContainer, start: float, end: float, target: Stream
) -> Iterator[VideoFrame]:
    for seconds, frame in _within(source, select_video(source), start, end):
        assert isinstance(frame, VideoFrame)
        width, height = (side - side % 2 for side in upright_size(frame))
        if not target.codec_context.is_open:
            target.width, target.height = width, height  # type: ignore[attr-defined]
        upright = _upright(frame).reformat(target.width, target.height, "yuv420p")  # type: ignore[attr-defined]
        upright.pts, upright.time_base = round(seconds / _TICKS), _TICKS
        yield upright


def _upright(frame: VideoFrame) -> VideoFrame:
    filters = orientation(frame)
    if not filters:
        return frame
    graph = av.filter.Graph()
    last = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    for name, arguments in [*filters, ("buffersink", "")]:
        following = graph.add(name, arguments)
        last.link_to(following)
        last = following
    graph.configure()
    graph.push(frame)
    return graph.vpull()


def _sound(source: InputContainer, start: float, end: float) -> Iterator[AudioFrame]:
    resampler = AudioResampler(format="fltp", layout="stereo", rate=_RATE)
    first: float | None = None
    count = 0
    for seconds, frame in _within(source, select_audio(source), start, end):
        assert isinstance(frame, AudioFrame)
        first = seconds if first is None else first
        for one in resampler.resample(frame):
            one.pts, one.time_base = round(first * _RATE) + count, Fraction(1, _RATE)
            count += one.samples
            yield one
