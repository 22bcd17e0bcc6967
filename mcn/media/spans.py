"""Where a container says that it and its streams begin and end.

Conventions: seconds from container start. Matroska states ends from the zero of its clock, cut AVI a count of frames.
"""

from __future__ import annotations

import math

from av.container import InputContainer
from av.stream import Stream

from mcn.media.files import MICROSECOND, offset_ticks

# Demuxers whose header states a duration; the others estimate it from the bit rate or from the last packets.
_DECLARING = frozenset({"mov", "matroska", "avi", "asf", "flv", "wav", "w64", "aiff", "flac"})


def end_tolerance(declared: float) -> float:
    """Seconds that may lack at the end of a stream of `declared` seconds: 1 s, or 1 % of a longer one."""
    return max(1.0, 0.01 * declared)


def container_seconds(container: InputContainer) -> float | None:
    """Declared duration, None where the format states none."""
    name = container.format.name.split(",")[0]
    if name not in _DECLARING or not container.duration:
        return None
    return float(container.duration * MICROSECOND) - _leading(container)


def _leading(container: InputContainer) -> float:
    """Seconds before container start that durations include: Matroska states where a file or stream ends."""
    matroska = container.format.name.startswith("matroska")
    return max(0.0, float((container.start_time or 0) * MICROSECOND)) if matroska else 0.0


def stream_end(container: InputContainer, stream: Stream) -> float | None:
    """Declared end of one stream, seconds from container start; None where the container states none."""
    if container_seconds(container) is None:
        return None
    if stream.duration and stream.time_base:
        start = (stream.start_time or 0) - offset_ticks(container, stream.time_base)
        # FFmpeg shortens the duration of a cut AVI, but leaves the header's count, which is in the same unit
        length = max(stream.duration, stream.frames if container.format.name == "avi" else 0)
        return float((start + length) * stream.time_base)
    tagged = _clock(stream.metadata.get("DURATION", ""))
    return None if tagged is None else tagged - _leading(container)


def _clock(text: str) -> float | None:
    """Matroska's tag: "01:02:03.500000000" -> 3723.5, anything else -> None."""
    try:
        hours, minutes, seconds = text.split(":")
        value = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def start_seconds(container: InputContainer, stream: Stream) -> float:
    """Where a stream begins, seconds from container start."""
    if stream.start_time is None or stream.time_base is None:
        return 0.0
    ticks = stream.start_time - offset_ticks(container, stream.time_base)
    return float(ticks * stream.time_base)
