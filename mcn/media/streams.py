"""One stream's frames in order, and the verdict on damage and on its end.

Conventions
-----------
- `pts` of the frames given out count from container start, in the stream's time base. A frame without a timestamp
  gets its decoding time, or follows the one before. Formats whose clock may jump get one time axis
  (`mcn.media.discontinuities`).
- Damage is a packet that the decoder refuses or a picture that it had to conceal (FFmpeg marks both). FFmpeg's
  concealment invents picture content, so by default the first damage ends the stream; `tolerated_errors` allows more,
  and then the concealed pictures are used as the ffmpeg program would use them. What a decoder reports without marking
  a picture, and packets that the container marks as corrupt, are counted and remarked.
- Damage before the first good frame is no error: a stream that was cut between key frames starts late.
- A stream may lose up to `end_tolerance` seconds at its end, where a camera or a download cut off the last packet. A
  stream that loses more is `truncated` where the file itself ends early, and `decode_error` where the file goes on.
- The declared end is the stream's own, where the container states one; otherwise the container's, and then any stream
  may be the one to reach it. Where neither is stated, or FFmpeg measures it, the file's own marks decide
  (`mcn.media.ends`): a file that is cut is `truncated`; one that does not tell is remarked as not verifiable.
- `discontinuous`: a frame that comes more than `PAUSE_SECONDS` after the one before, where neither the declared end nor
  the other stream, which goes on meanwhile, bears that out; one that lies that far behind the declared end; and one
  that goes back by more than `BACK_SECONDS`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mcn.errors import VideoError
from mcn.media.discontinuities import JoinedTime, may_jump
from mcn.media.ends import FileEnd, file_end
from mcn.media.files import MESSAGES, offset_ticks, select_audio, select_video, words
from mcn.media.remarks import Remarks
from mcn.media.spans import container_seconds, end_tolerance, start_seconds, stream_end

log = logging.getLogger(__name__)

_NO_TIMESTAMPS = 0x0080  # AVFMT_NOTIMESTAMPS
PAUSE_SECONDS = 60.0
BACK_SECONDS = 1.0


def repeats(packet: Packet) -> bool:
    """Whether an empty packet says that the picture before is shown again; decoders take it for the end."""
    return packet.size == 0 and packet.dts is not None


class _Companion:
    """The stream of the other kind, sound to a picture and the reverse: the time that its packets cover."""

    def __init__(self, container: InputContainer, stream: Stream) -> None:
        self.stream = stream
        self.start = start_seconds(container, stream)
        self.end = self.start
        self.paused = False  # its packets leave out more than a pause

    def see(self, start: float, end: float) -> None:
        self.paused |= start > self.end + PAUSE_SECONDS
        self.end = max(self.end, end)


def _other(container: InputContainer, stream: Stream) -> VideoStream | AudioStream | None:
    try:
        return select_audio(container) if stream.type == "video" else select_video(container)
    except VideoError:
        return None


class DecodedStream:
    """Frames of one stream; iterate once. `end_seconds` afterwards is the end of the last frame.

    remarks: filled in by the end of the iteration. Errors, while iterating: `truncated`, `decode_error`,
    `discontinuous` (see above). A stream without a frame just ends.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: Stream,
        tolerated_errors: int = 0,
        remarks: Remarks | None = None,
    ) -> None:
        assert stream.time_base is not None
        self._container, self._stream, self._tolerated = container, stream, tolerated_errors
        self._time_base: Fraction = stream.time_base
        self._offset = offset_ticks(container, stream.time_base)
        self._seconds_per_tick = float(stream.time_base)
        self._clocks: dict[int, tuple[int, float]] = {}  # stream index -> offset, seconds per tick
        self._joined = JoinedTime(container) if may_jump(container) else None
        self._remarks = Remarks() if remarks is None else remarks
        self._file_says = _file_end(container)
        self._total = self._file_says.seconds
        self._own_end: float | None = None
        if not self._file_says.measured:
            self._total = container_seconds(container)
            self._own_end = stream_end(container, stream)
        other = _other(container, stream)
        self._companion = None if other is None else _Companion(container, other)
        no_times = bool(container.format.flags & _NO_TIMESTAMPS)
        self._unstamped = no_times and stream.type == "video"  # raw pictures follow each other
        self._next_pts = 0
        self._errors: list[str] = []
        self._unread = False  # the demuxer gave up before the end
        self._before_first = ""  # the last damage before any good frame
        self._first_seconds = 0.0
        self.end_seconds = 0.0
        self._file_end = 0.0  # end of the last packet read, seconds
        self._frames = 0

    def __iter__(self) -> Iterator[VideoFrame | AudioFrame]:
        reported = MESSAGES.count
        for packet in self._packets():
            if len(self._errors) > self._tolerated:
                continue  # decode no more, but learn where the file ends
            if repeats(packet):
                continue
            for frame in self._decode(packet):
                if self._usable(frame):
                    yield self._timed(frame)
        if MESSAGES.count > reported:
            self._remarks.count(MESSAGES.count - reported, MESSAGES.last)
        self._judge()
        self._describe()

    def _packets(self) -> Iterator[Packet]:
        """Packets of the stream; `_file_end` follows those of every stream that can reach the declared end."""
        chosen = self._chosen()
        for other in self._container.streams:
            if other not in chosen:
                other.discard = Discard.all  # spares reading them from the disk
        try:
            for packet in self._demuxed(chosen):
                if self._joined is not None and packet.dts is not None:
                    self._joined.move(packet)
                self._see(packet)
                # the last packets have no stream_index
                if packet.stream.index == self._stream.index:
                    yield packet
        except av.FFmpegError as error:  # the demuxer met damage: nothing after it can be read
            self._errors.append(f"at {self._file_end:.2f} s: {words(error)}")
            self._tolerated = min(self._tolerated, len(self._errors) - 1)
            self._unread = True

    def _chosen(self) -> list[Stream]:
        """The stream, and those whose times are needed: all, or the companion where no declared end tells them."""
        if self._own_end is None and self._total is not None:
            return list(self._container.streams)
        companion = None if self._companion is None else self._companion.stream
        declared = not self._file_says.measured and self._joined is None
        if companion is None or (declared and stream_end(self._container, companion) is not None):
            return [self._stream]
        return [self._stream, companion]

    def _demuxed(self, chosen: list[Stream]) -> Iterator[Packet]:
        try:
            yield from self._container.demux(chosen)
        except IndexError:
            # at the end, where PyAV meets streams that were announced after the first packets
            self._remarks.late_streams += 1

    def _see(self, packet: Packet) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.is_corrupt and packet.stream_index == self._stream.index and packet.size:
            self._remarks.count(1, f"after {self.end_seconds:.2f} s: a corrupt packet")
        if stamp is None:
            return
        offset, seconds_per_tick = self._clock_of(packet)
        start = (stamp - offset) * seconds_per_tick
        end = (stamp + (packet.duration or 0) - offset) * seconds_per_tick
        self._file_end = max(self._file_end, end)
        if self._companion is not None and packet.stream_index == self._companion.stream.index:
            self._companion.see(start, end)

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
        if self._unstamped:
            stamp = None
        pts = self._next_pts if stamp is None else stamp - self._offset
        start = pts * self._seconds_per_tick
        self._require_continuous(start)
        if self._frames == 0:
            self._first_seconds = start
        frame.pts = pts
        self._next_pts = pts + max(1, self._duration(frame))
        self._frames += 1
        self.end_seconds = max(self.end_seconds, self._next_pts * self._seconds_per_tick)
        return frame

    def _require_continuous(self, start: float) -> None:
        """Refuse a timestamp that would fill minutes with one picture or with silence, or tell a time again."""
        declared = self._own_end if self._own_end is not None else self._total
        beyond = declared is not None and start > declared + PAUSE_SECONDS
        paused = start > self.end_seconds + PAUSE_SECONDS and not self._borne_out(start, declared)
        back = start < self.end_seconds - BACK_SECONDS
        if beyond or (self._frames > 0 and (paused or back)):
            before = f"the one before ended at {self.end_seconds:.1f} s"
            ends = "" if declared is None else f", the file declares {declared:.1f} s"
            raise VideoError("discontinuous", f"a frame is stamped {start:.1f} s; {before}{ends}")

    def _borne_out(self, start: float, declared: float | None) -> bool:
        """Whether a long pause is the file's intention."""
        if declared is not None:
            return start <= declared + end_tolerance(declared)
        other = self._companion
        return other is not None and not other.paused and other.end >= start - PAUSE_SECONDS

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
            self._judge_file()
            return
        detail = f"{self.end_seconds:.2f} s of {declared:.2f} s could be decoded"
        if broken and declared - self._file_end <= end_tolerance(declared):
            raise VideoError("decode_error", f"{self._errors[0]}; {detail}")
        raise VideoError("truncated", detail)

    def _judge_file(self) -> None:
        """Where no declared end was reached, let the file's own marks decide."""
        if self._own_end is None and self._total is None:
            if self._unread:
                raise VideoError("decode_error", self._errors[-1])
            self._remarks.unverifiable = marked_end(self._container)

    def _describe(self) -> None:
        """Fill in the remarks, and mention tolerated damage."""
        remarks, other = self._remarks, self._companion
        remarks.kind = self._stream.type
        remarks.span = (self._first_seconds, self.end_seconds)
        if other is not None:
            end = None
            if not self._file_says.measured and self._joined is None:
                end = stream_end(self._container, other.stream)
            remarks.other = (other.start, max(other.start, other.end if end is None else end))
        if self._errors:
            remarks.count(len(self._errors), self._errors[0])
            where = f"{self._container.name}, {self._stream.type}"
            log.warning("%s: tolerated %d errors: %s", where, len(self._errors), self._errors[0])


def marked_end(container: InputContainer) -> str:
    """Why the marks of the file do not verify its end, "" where they do. Errors: `truncated`."""
    says = _file_end(container)
    if says.state == "cut":
        raise VideoError("truncated", says.words)
    return says.words


def _file_end(container: InputContainer) -> FileEnd:
    return file_end(Path(container.name.removeprefix("file:")), container.format.name)
