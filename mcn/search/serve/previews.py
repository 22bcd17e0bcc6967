"""Previews: an mp4 of a file that browsers do not play, H.264 and AAC, with the same times.

Conventions
-----------
- Streams that an mp4 holds and browsers play are copied packet by packet, which takes seconds; others are encoded,
  pictures at most `MAXIMUM_WIDTH` by `MAXIMUM_HEIGHT` pixels, upright and with square pixels.
- Time 0 of a preview is the start of the container, as everywhere in this project, so that a moment of the video is the
  same moment of its preview. Where pictures or sound begin later, they begin later in the preview too.
- A damaged packet is left out; a file of which nothing can be decoded is an error. While a preview is made, a file
  beside it (`PROGRESS`) holds the share of the video that is done.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from av.filter.context import FilterContext
from av.frame import Frame
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mcn.errors import VideoError
from mcn.files import atomic_path
from mcn.media.files import MICROSECOND, offset_ticks, open_media
from mcn.media.frames import orientation
from mcn.media.probe import VideoFacts, probe
from mcn.search.serve.playback import COPIED_AUDIO, COPIED_VIDEO, chosen_streams, plays_in_browsers

MAXIMUM_HEIGHT = 480  # pixels
MAXIMUM_WIDTH = 1280
PROGRESS = ".progress"
_X264 = {"preset": "ultrafast", "crf": "26"}
_KEY_FRAME_SECONDS = 2  # between pictures that a player can jump to
_REORDERED = 16  # pictures that a decoder of H.264 may have to hold back, at most
_TICKS = Fraction(1, 90_000)  # the clock of encoded pictures
_SAMPLE_RATE = 48_000
_REPORT_SECONDS = 0.5
# containers with the times of pictures
_TIMED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "flv")

Chain: TypeAlias = Sequence[tuple[str, str]]  # filters and their arguments


def write_preview(path: Path, output: Path) -> None:
    """Write the preview of a media file. Errors: those of `open_media`; `no_frames` where nothing can be decoded."""
    progress = output.with_name(output.name + PROGRESS)
    facts = probe(path).video
    try:
        with open_media(path) as source, atomic_path(output) as temporary:
            with av.open(
                str(temporary), "w", format="mp4", options={"movflags": "+faststart"}
            ) as target:
                written = _convert(source, target, facts, progress)
            if not written:
                raise VideoError("no_frames", "no picture and no sound could be decoded")
    finally:
        progress.unlink(missing_ok=True)


def progress_of(output: Path) -> float:
    """Share of a preview that is done, 0 where nothing is known yet."""
    try:
        return float(output.with_name(output.name + PROGRESS).read_text())
    except (OSError, ValueError):
        return 0.0


def _convert(
    source: InputContainer, target: OutputContainer, facts: VideoFacts | None, progress: Path
) -> int:
    """Read the whole file once, write what is chosen of it; number of packets written."""
    video, audio = chosen_streams(source)
    tracks: dict[int, _Copied | _Pictures | _Sound] = {}
    if video is not None and _is_copied(source, video):
        tracks[video.index] = _Copied(source, video, target)
    elif video is not None and facts is not None:
        tracks[video.index] = _Pictures(source, video, target, _preview_size(video, facts))
    if audio is not None:
        copied = audio.codec_context.codec.canonical_name in COPIED_AUDIO
        tracks[audio.index] = (_Copied if copied else _Sound)(source, audio, target)
    written = 0
    report = _Report(source, progress)
    for packet in source.demux([stream for stream in (video, audio) if stream is not None]):
        for made in tracks[packet.stream.index].packets(packet):
            target.mux(made)
            written += 1
        report.at(packet)
    return written


def _is_copied(source: InputContainer, video: VideoStream) -> bool:
    """Whether browsers play the pictures as they are stored, and the container says when each is shown."""
    playable = video.codec_context.codec.canonical_name in COPIED_VIDEO and plays_in_browsers(video)
    return playable and source.format.name in _TIMED


def _preview_size(video: VideoStream, facts: VideoFacts) -> tuple[int, int]:
    """(width, height) with square pixels; even numbers, since H.264 in 4:2:0 takes no others."""
    width, height = float(facts.width), float(facts.height)
    aspect = float(video.sample_aspect_ratio or 1)
    if facts.width == video.width:
        width *= aspect
    else:  # turned by a quarter
        height *= aspect
    share = min(1.0, MAXIMUM_HEIGHT / height, MAXIMUM_WIDTH / width)
    return max(2, round(width * share / 2) * 2), max(2, round(height * share / 2) * 2)


class _Report:
    """Writes the share of the file that has been read, a few times a second."""

    def __init__(self, source: InputContainer, file: Path) -> None:
        self._length = float((source.duration or 0) * MICROSECOND)
        self._start = float((source.start_time or 0) * MICROSECOND)
        self._file, self._next = file, 0.0

    def at(self, packet: Packet) -> None:
        now = time.monotonic()
        if now < self._next or not self._length or packet.dts is None:
            return
        done = float(packet.dts * packet.time_base) - self._start
        self._next = now + _REPORT_SECONDS
        with contextlib.suppress(OSError):
            self._file.write_text(f"{min(max(done / self._length, 0), 1):.3f}")


class _Copied:
    """A stream whose packets are taken over; only their times are counted from the start of the container."""

    def __init__(
        self, source: InputContainer, stream: VideoStream | AudioStream, target: OutputContainer
    ) -> None:
        self._out = target.add_stream_from_template(stream)
        assert stream.time_base is not None
        self._offset = offset_ticks(source, stream.time_base)
        rate = stream.average_rate if isinstance(stream, VideoStream) else None
        self._lead = round(_REORDERED / rate / stream.time_base) if rate else 0
        self._last: int | None = None

    def packets(self, packet: Packet) -> Iterator[Packet]:
        if packet.pts is None or not packet.size:
            return
        packet.pts -= self._offset
        if packet.dts is not None:
            packet.dts -= self._offset
        elif self._last is None:
            packet.dts = packet.pts - self._lead
        else:
            packet.dts = self._last + 1
        if self._last is not None and packet.dts <= self._last:
            return  # an mp4 takes packets in their order alone
        self._last = packet.dts
        packet.stream = self._out
        yield packet


class _Pictures:
    """A video stream, decoded and encoded again as H.264 in `size` (width, height)."""

    def __init__(
        self,
        source: InputContainer,
        stream: VideoStream,
        target: OutputContainer,
        size: tuple[int, int],
    ) -> None:
        assert stream.time_base is not None
        self._offset = offset_ticks(source, stream.time_base)
        self._size, self._graph, self._shape = size, Graph(), ("", 0, 0)
        self._last = -1
        rate = (stream.average_rate or Fraction(25)).limit_denominator(1001)
        self._out = target.add_stream("libx264", rate=rate, options=_X264)
        self._out.width, self._out.height = size
        self._out.pix_fmt = "yuv420p"
        self._out.codec_context.time_base = _TICKS
        self._out.codec_context.gop_size = max(1, round(rate * _KEY_FRAME_SECONDS))

    def packets(self, packet: Packet) -> Iterator[Packet]:
        for frame in _decoded(packet):
            assert isinstance(frame, VideoFrame)
            if frame.pts is None or frame.time_base is None:
                continue
            ticks = round((frame.pts - self._offset) * frame.time_base / _TICKS)
            if ticks <= self._last:
                continue
            self._last = ticks
            picture = self._converted(frame)
            picture.pts, picture.time_base = ticks, _TICKS
            yield from self._out.encode(picture)
        if not packet.size:  # the end of the stream
            yield from self._out.encode(None)

    def _converted(self, frame: VideoFrame) -> VideoFrame:
        """The picture upright, in the preview's size; a stream may change its own size in the midst of it."""
        shape = frame.format.name, frame.width, frame.height
        if shape != self._shape:
            width, height = self._size
            self._shape, self._graph = shape, Graph()
            self._graph.threads = 1
            source = self._graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base,
            )
            filters = [*orientation(frame), ("scale", f"{width}:{height}"), ("setsar", "1")]
            _link(self._graph, source, [*filters, ("format", "yuv420p")], "buffersink")
        self._graph.push(frame)
        return self._graph.vpull()


class _Sound:
    """An audio stream, decoded and encoded again as AAC in stereo; gaps, one at the start too, become silence."""

    def __init__(
        self, source: InputContainer, stream: AudioStream, target: OutputContainer
    ) -> None:
        assert stream.time_base is not None
        self._offset = offset_ticks(source, stream.time_base)
        self._graph: Graph | None = None
        self._shape = ("", "", 0)
        self._out = target.add_stream("aac", rate=_SAMPLE_RATE, layout="stereo")
        self._out.codec_context.bit_rate = 96_000

    def packets(self, packet: Packet) -> Iterator[Packet]:
        for frame in _decoded(packet):
            assert isinstance(frame, AudioFrame)
            if frame.pts is None:
                continue
            frame.pts -= self._offset
            yield from self._encoded(frame)
        if not packet.size:  # the end of the stream
            if self._graph is not None:
                yield from self._encoded(None)
            yield from self._out.encode(None)

    def _encoded(self, frame: AudioFrame | None) -> Iterator[Packet]:
        """Packets of a frame, or of what was held back until the end."""
        if frame is not None:
            self._fit(frame)
        assert self._graph is not None
        self._graph.push(frame)
        while True:
            try:
                sound = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(sound, AudioFrame)
            yield from self._out.encode(sound)

    def _fit(self, frame: AudioFrame) -> None:
        """Build the filters for frames like this one; a stream may change its form in the midst of it."""
        shape = frame.format.name, frame.layout.name, frame.sample_rate
        if shape == self._shape:
            return
        lead = "" if self._graph else ":first_pts=0"
        self._shape, self._graph = shape, Graph()
        self._graph.threads = 1
        source = self._graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format,
            layout=frame.layout,
            time_base=frame.time_base,
        )
        form = f"sample_fmts=fltp:channel_layouts=stereo:sample_rates={_SAMPLE_RATE}"
        filters = [("aresample", f"{_SAMPLE_RATE}:async=1{lead}"), ("aformat", form)]
        _link(self._graph, source, [*filters, ("asetnsamples", "1024:p=0")], "abuffersink")


def _link(graph: Graph, source: FilterContext, filters: Chain, sink: str) -> None:
    nodes = [graph.add(name, arguments or None) for name, arguments in filters]
    graph.link_nodes(source, *nodes, graph.add(sink)).configure()


def _decoded(packet: Packet) -> list[Frame]:
    """The frames of a packet; none of a damaged one."""
    try:
        return list(packet.decode())
    except MemoryError:
        raise
    except av.FFmpegError:
        return []
