"""What a media file holds, as its header and first packets tell.

Conventions
-----------
- Times are seconds from container start; sizes are those of the upright picture (after rotation).
- `variable_rate` is judged on the first `_PACKETS` video packets and on the average over the whole file.
- Durations are what the file declares; decoding alone finds out whether it is all there (`mcn.media.streams`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mcn.errors import VideoError
from mcn.media.files import MICROSECOND, open_media, seek, select_audio, select_video
from mcn.media.frames import orientation, upright_size
from mcn.media.remarks import Remarks
from mcn.media.spans import start_seconds, stream_end
from mcn.media.streams import DecodedStream, marked_end, repeats

_PACKETS = 300  # about 10 s of video
# Before the declared end, where `spot_check` decodes on from the key frame before
_LAST_SECONDS = 2.0


@dataclass(frozen=True)
class VideoFacts:
    """The video stream. `frames_per_second` is the average, None where unknown; `turned`: has a display matrix."""

    codec: str
    width: int
    height: int
    turned: bool
    frames_per_second: float | None
    variable_rate: bool
    start_seconds: float
    end_seconds: float | None


@dataclass(frozen=True)
class AudioFacts:
    """The audio stream."""

    codec: str
    sample_rate: int
    channels: int
    start_seconds: float
    end_seconds: float | None


@dataclass(frozen=True)
class MediaFacts:
    """A media file; `seconds` is None where neither header nor file size tells."""

    format: str
    seconds: float | None
    video: VideoFacts | None
    audio: AudioFacts | None


def probe(path: Path) -> MediaFacts:
    """Read the facts of a file, decoding no more than its first picture.

    Errors: those of `open_media`; `decode_error`, `no_frames` where the video stream yields no first picture.
    """
    with open_media(path) as container:
        audio = _optional_audio(container)
        try:
            stream = select_video(container)
        except VideoError as error:
            if error.code != "no_video_stream":
                raise
            video = None
        else:
            video = _video_facts(container, stream)
        seconds = float(container.duration * MICROSECOND) if container.duration else None
        return MediaFacts(container.format.name, seconds, video, audio)


def declared_seconds(path: Path) -> float:
    """Duration that a file declares or FFmpeg estimates, 0 where nobody knows. Errors: those of `open_media`."""
    with open_media(path) as container:
        return float((container.duration or 0) * MICROSECOND)


def spot_check(path: Path, kind: Literal["video", "audio"], tolerated_errors: int = 0) -> Remarks:
    """Decode around the middle and from shortly before the end: finds cut files without decoding them whole.

    Remarks are those of the end. Errors: as decoding the whole stream would give, where the damage lies in what is
    looked at.
    """
    remarks = Remarks()
    with open_media(path) as container:
        stream = _select(container, kind)
        end = stream_end(container, stream) or float((container.duration or 0) * MICROSECOND)
        if not end:  # raw streams, in which nobody can seek
            return Remarks(unverifiable=marked_end(container))
        seek(container, end / 2)
        next(iter(DecodedStream(container, stream, tolerated_errors)), None)
        seek(container, max(0.0, end - _LAST_SECONDS))
        for _ in DecodedStream(container, stream, tolerated_errors, remarks):
            pass
    return replace(remarks, other=None)  # only a part of the stream was looked at


def _select(
    container: InputContainer, kind: Literal["video", "audio"]
) -> VideoStream | AudioStream:
    return select_video(container) if kind == "video" else select_audio(container)


def _optional_audio(container: InputContainer) -> AudioFacts | None:
    try:
        stream = select_audio(container)
    except VideoError as error:
        if error.code != "no_audio":
            raise
        return None
    context = stream.codec_context
    start, end = start_seconds(container, stream), stream_end(container, stream)
    return AudioFacts(context.name, context.sample_rate, context.layout.nb_channels, start, end)


def _video_facts(container: InputContainer, stream: VideoStream) -> VideoFacts:
    first: VideoFrame | None = None
    times: list[tuple[int | None, int | None]] = []
    for packet in itertools.islice(container.demux(stream), _PACKETS):
        times.append((packet.pts, packet.dts))
        if first is None and not repeats(packet):
            first = next((f for f in packet.decode() if isinstance(f, VideoFrame)), None)
    if first is None:
        raise VideoError("no_frames", "the video stream yields no first picture")
    width, height = upright_size(first)
    return VideoFacts(
        codec=stream.codec_context.name,
        width=width,
        height=height,
        turned=bool(orientation(first)),
        frames_per_second=float(stream.average_rate) if stream.average_rate else None,
        variable_rate=_variable_rate(stream, _stamps(times)),
        start_seconds=start_seconds(container, stream),
        end_seconds=stream_end(container, stream),
    )


def _stamps(times: Sequence[tuple[int | None, int | None]]) -> list[int]:
    """The times at which pictures are shown, in order; those of decoding where a format (AVI) has no others."""
    shown = [pts for pts, dts in times if pts is not None]
    decoded = [dts for pts, dts in times if dts is not None]
    return sorted(set(shown if len(shown) >= len(decoded) else decoded))


def _variable_rate(stream: VideoStream, stamps: list[int]) -> bool:
    """Whether frames follow one another at unequal distances, beyond the container's rounding."""
    steps = [after - before for before, after in itertools.pairwise(stamps)]
    if len(steps) < 2:
        return False
    assert stream.time_base is not None
    rounding = 2 if float(stream.time_base) > 1e-4 else 0  # Matroska and AVI count coarsely
    if max(steps) - min(steps) > max(rounding, 0.1 * min(steps)):
        return True
    local_rate = len(steps) / float((stamps[-1] - stamps[0]) * stream.time_base)
    average = float(stream.average_rate) if stream.average_rate else local_rate
    return abs(average / local_rate - 1) > 0.02
