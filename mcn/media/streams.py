"""One stream's frames in order, and the verdict on damage.

Conventions
-----------
- `pts` of the frames given out count from container start, in the stream's time base. A frame without a timestamp
  gets its decoding time, or follows the one before.
- Damage is a packet that the decoder refuses or a picture that it had to conceal (FFmpeg marks both). FFmpeg's
  concealment invents picture content, so by default the first damage ends the stream; `tolerated_errors` allows more,
  and then the concealed pictures are used as the ffmpeg program would use them.
- Damage before the first good frame is no error: a stream that was cut between key frames starts late.
- A stream may lose up to `end_tolerance` seconds at its end, where a camera or a download cut off the last packet. A
  stream that loses more is `truncated` where the file itself ends early, and `decode_error` where the file goes on.
- The declared end is the stream's own, where the container states one; otherwise the container's, and then any stream
  may be the one to reach it. Formats that state nothing (MPEG-TS, raw streams) cannot be found truncated.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.frame import VideoFrame

from mcn.errors import VideoError
from mcn.media.files import MICROSECOND, offset_ticks, words

log = logging.getLogger(__name__)

# Demuxers whose header states a duration; the others estimate it from the bit rate or from the last packets.
_DECLARING = frozenset({"mov", "matroska", "avi", "asf", "flv", "wav", "w64", "aiff"})
_BEYOND_END_SECONDS = 60.0  # a timestamp this far behind the declared end is nonsense
_LONGEST_PAUSE_SECONDS = 3600.0  # so is one this far behind the frame before


def end_tolerance(declared: float) -> float:
    """Seconds that may lack at the end of a stream of `declared` seconds: 1 s, or 1 % of a longer one."""
    return max(1.0, 0.01 * declared)


def container_seconds(container: InputContainer) -> float | None:
    """Declared duration, None where the format states none."""
    declares = container.format.name.split(",")[0] in _DECLARING
    return float(container.duration * MICROSECOND) if declares and container.duration else None


def stream_end(container: InputContainer, stream: Stream) -> float | None:
    """Declared end of one stream, seconds from container start; None where the container states none."""
    if container_seconds(container) is None:
        return None
    if stream.duration and stream.time_base:
        start = (stream.start_time or 0) - offset_ticks(container, stream.time_base)
        # FFmpeg shortens the duration of a cut AVI, but leaves the header's count, which is in the same unit
        length = max(stream.duration, stream.frames if container.format.name == "avi" else 0)
        return float((start + length) * stream.time_base)
    return _clock(stream.metadata.get("DURATION", ""))


def _clock(text: str) -> float | None:
    """Matroska's tag: "01:02:03.500000000" -> 3723.5, anything else -> None."""
    try:
        hours, minutes, seconds = text.split(":")
        value = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


class DecodedStream:
    """Frames of one stream; iterate once. `end_seconds` afterwards is the end of the last frame.

    Errors, while iterating: `truncated`, `decode_error` (see above). A stream without a frame just ends.
    """

    def __init__(
        self, container: InputContainer, stream: Stream, tolerated_errors: int = 0
    ) -> None:
        assert stream.time_base is not None
        self._container, self._stream, self._tolerated = container, stream, tolerated_errors
        self._time_base: Fraction = stream.time_base
        self._offset = offset_ticks(container, stream.time_base)
        self._seconds_per_tick = float(stream.time_base)
        self._clocks: dict[int, tuple[int, float]] = {}  # stream index -> offset, seconds per tick
        self._total = container_seconds(container)
        self._own_end = stream_end(container, stream)
        self._next_pts = 0
        self._errors: list[str] = []
        self._before_first = ""  # the last damage before any good frame
        self.end_seconds = 0.0
        self._file_end = 0.0  # end of the last packet read, seconds
        self._frames = 0

    def __iter__(self) -> Iterator[VideoFrame | AudioFrame]:
        for packet in self._packets():
            if len(self._errors) > self._tolerated:
                continue  # decode no more, but learn where the file ends
            for frame in self._decode(packet):
                if self._usable(frame):
                    yield self._timed(frame)
        self._judge()

    def _packets(self) -> Iterator[Packet]:
        """Packets of the stream; `_file_end` follows those of every stream that can reach the declared end."""
        alone = self._own_end is not None or self._total is None
        if alone:
            for other in self._container.streams:
                if other is not self._stream:
                    other.discard = Discard.all  # spares reading them from the disk
        chosen = [self._stream] if alone else list(self._container.streams)
        try:
            for packet in self._container.demux(chosen):
                self._see(packet)
                if packet.stream_index == self._stream.index:
                    yield packet
        except (
            av.FFmpegError
        ) as error:  # the demuxer itself met damage: nothing after it can be read
            self._errors.append(f"at {self._file_end:.2f} s: {words(error)}")
            self._tolerated = min(self._tolerated, len(self._errors) - 1)

    def _see(self, packet: Packet) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            return
        offset, seconds_per_tick = self._clock_of(packet)
        end = (stamp + (packet.duration or 0) - offset) * seconds_per_tick
        self._file_end = max(self._file_end, end)

    def _clock_of(self, packet: Packet) -> tuple[int, float]:
        """Container start in ticks, and seconds a tick, of the packet's stream."""
        clock = self._clocks.get(packet.stream_index)
        if clock is None:
            base = packet.time_base
            clock = offset_ticks(self._container, base), float(base)
            self._clocks[packet.stream_index] = clock
        return clock

    def _decode(self, packet: Packet) -> list[VideoFrame | AudioFrame]:
        try:
            return list(packet.decode())
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            self._damage(words(error))
            return []

    def _usable(self, frame: VideoFrame | AudioFrame) -> bool:
        if not frame.is_corrupt:
            return True
        self._damage("a damaged picture that the decoder had to conceal")
        return self._frames > 0 and len(self._errors) <= self._tolerated

    def _damage(self, what: str) -> None:
        if self._frames == 0:
            self._before_first = what
        else:
            self._errors.append(f"after {self.end_seconds:.2f} s: {what}")

    def _timed(self, frame: VideoFrame | AudioFrame) -> VideoFrame | AudioFrame:
        """Give the frame its timestamp from container start."""
        stamp = frame.pts if frame.pts is not None else frame.dts
        pts = self._next_pts if stamp is None else stamp - self._offset
        self._require_sane(pts * self._seconds_per_tick)
        frame.pts = pts
        self._next_pts = pts + max(1, self._duration(frame))
        self._frames += 1
        self.end_seconds = max(self.end_seconds, self._next_pts * self._seconds_per_tick)
        return frame

    def _require_sane(self, start: float) -> None:
        """Refuse a timestamp that would fill hours with one picture or with silence."""
        limit = self.end_seconds + _LONGEST_PAUSE_SECONDS
        if self._total is not None:
            limit = min(limit, self._total + _BEYOND_END_SECONDS)
        if start > limit:
            before = f"the one before ended at {self.end_seconds:.1f} s"
            declared = "" if self._total is None else f", the file declares {self._total:.1f} s"
            raise VideoError(
                "decode_error", f"a frame is stamped {start:.1f} s; {before}{declared}"
            )

    def _duration(self, frame: VideoFrame | AudioFrame) -> int:
        """Ticks that the frame lasts; the average frame's where the file does not say."""
        if isinstance(frame, AudioFrame):
            return round(frame.samples / frame.sample_rate / self._seconds_per_tick)
        if frame.duration:
            return frame.duration
        rate = self._stream.average_rate
        return round(1 / rate / self._time_base) if rate else 1

    def _judge(self) -> None:
        """Raise where more is missing at the end than is tolerated."""
        if self._own_end is not None:
            declared, reached = self._own_end, self.end_seconds if self._frames else self._file_end
        elif self._total is not None:
            declared, reached = self._total, max(self._file_end, self.end_seconds)
        else:
            declared = reached = self._file_end
        broken = len(self._errors) > self._tolerated
        lacking = declared - (self.end_seconds if broken else reached)
        if (
            self._frames == 0
            and self._before_first
            and reached >= declared - end_tolerance(declared)
        ):
            raise VideoError("decode_error", f"not one good frame: {self._before_first}")
        if lacking <= end_tolerance(declared):
            self._mention()
            return
        detail = f"{self.end_seconds:.2f} s of {declared:.2f} s could be decoded"
        if broken and declared - self._file_end <= end_tolerance(declared):
            raise VideoError("decode_error", f"{self._errors[0]}; {detail}")
        raise VideoError("truncated", detail)

    def _mention(self) -> None:
        if self._errors:
            where = f"{self._container.name}, {self._stream.type}"
            log.warning("%s: tolerated %d errors: %s", where, len(self._errors), self._errors[0])
