"""One time axis for transport and program streams whose clock jumps, as the ffmpeg program makes it.

Conventions
-----------
- MPEG-TS, MPEG-PS and Ogg may be joined from pieces, each with a clock of its own. Where a decoding time lies more than
  `JUMP_SECONDS` from the one expected in its stream, or `BACK_SECONDS` before the last, the pieces are joined there:
  the difference is taken off all later packets of all streams. The picture goes on, and no jump becomes a pause.
- The rule is FFmpeg's (fftools/ffmpeg_demux.c, `ts_discontinuity_detect`; LGPL), written again from its description:
  times are compared in microseconds, what is expected follows from the last packet and its duration. It sees the
  packets of the picture and of the sound in the file's order, so that both are joined in the same places.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from mcn.media.files import MICROSECOND, offset_ticks

JUMP_SECONDS = 10  # ffmpeg's -dts_delta_threshold
BACK_SECONDS = Fraction(1, 10)
_MAY_JUMP = 0x0200  # AVFMT_TS_DISCONT
_WRAP_TICKS = 1 << 33  # the clock of MPEG's packets has 33 bits
_WRAPPING = ("mpegts", "mpeg")


def may_jump(container: InputContainer) -> bool:
    """Whether the format allows the clock to jump."""
    return bool(container.format.flags & _MAY_JUMP)


@dataclass
class _Expected:
    """Decoding times of a stream, microseconds: that of the last packet, and that of the next."""

    last: int
    next: int
    wraps: bool


class JoinedTime:
    """Moves the timestamps of packets onto one time axis; `move` sees every packet of the streams in use, in order."""

    def __init__(self, container: InputContainer) -> None:
        self._container = container
        self._wraps = container.format.name in _WRAPPING
        self._taken_off = 0  # microseconds
        self._before: int | None = None  # decoding time of the last packet of any stream
        self._expected: dict[int, _Expected] = {}

    def move(self, packet: Packet) -> None:
        """Set the packet's times; those from container start stay so."""
        base = packet.time_base
        start = offset_ticks(self._container, base)
        pts, dts = packet.pts, packet.dts
        expected = self._expected.get(packet.stream_index)
        if self._wraps and (expected is None or expected.wraps):
            pts, dts = _unwrapped(pts, start), _unwrapped(dts, start)
        shift = _ticks(-self._taken_off, base) - start
        pts, dts = _plus(pts, shift), _plus(dts, shift)
        if dts is not None:
            delta = self._jump(_microseconds(dts, base), expected)
            if delta:
                self._taken_off += delta
                pts, dts = _plus(pts, -_ticks(delta, base)), dts - _ticks(delta, base)
            self._before = _microseconds(dts, base)
        self._expect(packet, pts, dts, expected)
        packet.pts, packet.dts = _plus(pts, start), _plus(dts, start)

    def _jump(self, dts: int, expected: _Expected | None) -> int:
        """Microseconds to take off from here on."""
        if expected is not None:
            delta = dts - expected.next
            back = dts + int(BACK_SECONDS / MICROSECOND) < expected.last
            return delta if back or abs(delta) > JUMP_SECONDS / MICROSECOND else 0
        if self._before is None:
            return 0
        delta = dts - self._before
        return delta if abs(delta) > JUMP_SECONDS / MICROSECOND else 0

    def _expect(
        self, packet: Packet, pts: int | None, dts: int | None, expected: _Expected | None
    ) -> None:
        base = packet.time_base
        if expected is None:
            start = 0 if pts is None else _microseconds(pts, base)
            expected = _Expected(start, start, self._wraps and pts is not None and pts < 0)
            self._expected[packet.stream_index] = expected
        expected.last = expected.next if dts is None else _microseconds(dts, base)
        expected.next = expected.last + _length(packet)


def _unwrapped(ticks: int | None, start: int) -> int | None:
    """A time more than half the clock's range after container start was stamped before the clock began anew."""
    late = ticks is not None and ticks > start + _WRAP_TICKS // 2
    return _plus(ticks, -_WRAP_TICKS) if late else ticks


def _plus(ticks: int | None, more: int) -> int | None:
    return None if ticks is None else ticks + more


def _nearest(value: Fraction) -> int:
    """Rounded half away from zero, as FFmpeg does."""
    return int(value + Fraction(1, 2)) if value >= 0 else -int(-value + Fraction(1, 2))


def _microseconds(ticks: int, base: Fraction) -> int:
    return _nearest(ticks * base / MICROSECOND)


def _ticks(microseconds: int, base: Fraction) -> int:
    return _nearest(microseconds * MICROSECOND / base)


def _length(packet: Packet) -> int:
    """Microseconds that a packet lasts."""
    stream = packet.stream
    if isinstance(stream, AudioStream) and stream.codec_context.sample_rate:
        context = stream.codec_context
        return context.frame_size * 1_000_000 // context.sample_rate
    if packet.duration:
        return _microseconds(packet.duration, packet.time_base)
    if isinstance(stream, VideoStream) and stream.guessed_rate:
        return _nearest(1 / stream.guessed_rate / MICROSECOND)
    return 0
