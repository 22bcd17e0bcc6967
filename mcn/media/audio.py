"""Sound as mono float32 at a fixed rate, sample 0 at container start.

Conventions
-----------
- Samples are scaled to [-1, 1] (integers by their full scale) and the channels averaged, whatever their number or
  layout, as `sox channels 1` does (AVLnet); then resampled by soxr at quality HQ, which agrees with `sox rate`.
- Sample i is at i / sample_rate seconds from container start: sound that starts later, and gaps of more than
  `GAP_SECONDS` inside it, are filled with silence; what lies before container start is dropped.
- Resampling is streamed, and equal to resampling everything at once. Memory does not grow with the length.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soxr
from av.audio.frame import AudioFrame

from mcn.errors import VideoError
from mcn.media.files import open_media, select_audio
from mcn.media.remarks import Remarks
from mcn.media.streams import DecodedStream

GAP_SECONDS = 0.1  # containers round timestamps, Matroska to 1 ms; a smaller jump is no gap
QUALITY = "HQ"

# other than float32: FFmpeg's sample format without the planar "p" -> (value of silence, full scale)
_SCALE: dict[str, tuple[int, float]] = {
    "u8": (128, 2.0**7),
    "s16": (0, 2.0**15),
    "s32": (0, 2.0**31),
    "s64": (0, 2.0**63),
    "dbl": (0, 1.0),
}


def to_mono(frame: AudioFrame) -> np.ndarray:
    """Mean over the channels of a decoded frame: float32 (samples,). Errors: `decode_error` for NaN or infinity."""
    values, channels = frame.to_ndarray(), frame.layout.nb_channels
    if not frame.format.is_planar:
        values = values.reshape(-1, channels).T
    if values.dtype != np.float32:
        silence, full_scale = _SCALE[frame.format.name.removesuffix("p")]
        values = ((values.astype(np.float64) - silence) / full_scale).astype(np.float32)
    mono = values[0] if channels == 1 else values.mean(axis=0, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise VideoError("decode_error", "the sound holds NaN or infinity")
    return mono


class _Timeline:
    """Chunks of mono sound placed on the time axis at the input's rate."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._position = 0  # samples given out

    def place(self, start_seconds: float, samples: np.ndarray) -> Iterator[np.ndarray]:
        lead = round(start_seconds * self.rate) - self._position
        first = self._position == 0
        if lead > (0 if first else GAP_SECONDS * self.rate):
            yield from self._silence(lead)
        elif first and lead < 0:
            samples = samples[-lead:]
        self._position += len(samples)
        if len(samples):
            yield samples

    def _silence(self, count: int) -> Iterator[np.ndarray]:
        self._position += count
        for start in range(0, count, self.rate):
            yield np.zeros(min(self.rate, count - start), np.float32)


def mono_samples(
    path: Path, sample_rate: int, tolerated_errors: int = 0, remarks: Remarks | None = None
) -> Iterator[np.ndarray]:
    """Decode the sound of a file: float32 chunks (n,) at `sample_rate`, in order. remarks: filled in by the end.

    Errors, before or while iterating: those of `open_media` and `DecodedStream`; `no_audio`, `no_frames`.
    """
    timeline: _Timeline | None = None
    resampler: soxr.ResampleStream | None = None
    with open_media(path) as container:
        stream = select_audio(container)
        for frame in DecodedStream(container, stream, tolerated_errors, remarks):
            assert isinstance(frame, AudioFrame)
            assert frame.pts is not None
            assert frame.time_base is not None
            if timeline is None:
                timeline = _Timeline(frame.sample_rate)
                resampler = _resampler(frame.sample_rate, sample_rate)
            elif frame.sample_rate != timeline.rate:
                change = f"from {timeline.rate} to {frame.sample_rate} Hz"
                raise VideoError("decode_error", f"the sample rate changes {change}")
            for chunk in timeline.place(frame.pts * float(frame.time_base), to_mono(frame)):
                yield _resampled(resampler, chunk, last=False)
        if timeline is None:
            raise VideoError("no_frames", "the audio stream yields not a single sample")
        yield _resampled(resampler, np.zeros(0, np.float32), last=True)


def _resampler(source: int, target: int) -> soxr.ResampleStream | None:
    """None where the rates agree: nothing is filtered then."""
    return None if source == target else soxr.ResampleStream(source, target, 1, "float32", QUALITY)


def _resampled(resampler: soxr.ResampleStream | None, chunk: np.ndarray, last: bool) -> np.ndarray:
    return chunk if resampler is None else resampler.resample_chunk(chunk, last=last)
