"""Log-mel spectrograms.

Conventions
-----------
- Input: mono waveform in [-1, 1], float32 (N,). Output: (40, T) float32 dB in [-80, 0], T = 1 + N // 160 at 16 kHz;
  column i is the 25 ms window centred at i * 0.01 s. Shards hold it transposed, (T, 40) float16.
- Steps: mean removed; pre-emphasis y[t] - 0.97 y[t-1], the first sample kept; power of the discrete Fourier transform
  of 400 samples under a symmetric Hamming window; 40 Slaney mel bands from 20 Hz to half the sample rate, each of
  unit area; 10 log10 relative to the loudest value of the whole waveform, floored at -80 dB.
- Under `reference: clip` rows are absolute levels, and a clip's loudest value is 0 dB when it is taken
  (`mcn.shards.clips.mel_rows`). Unlike there, mean and pre-emphasis are still those of the whole video.
- Beyond both ends lies silence (`constant`, librosa >= 0.10) or the mirrored signal (`reflect`, librosa < 0.10); a
  waveform too short to be mirrored (at most 200 samples) is always continued by silence.
- Sound is read in stretches, twice: for its mean, and for its spectra. Memory holds one stretch and the levels: 86 MB
  for an hour of sound, which has 230 MB of samples.
- Silence has no loudest value: as in librosa it is 0 dB everywhere. Nothing gives NaN. An empty waveform is one column.
- Source: `roudimit/AVLnet` audio_to_spectrograms.py; librosa's definitions of mel bands and decibels. `sox gain -4`
  before it there cancels, since the reference is the maximum.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Literal

import librosa
import numpy as np
from scipy.signal.windows import hamming

from mcn.features.extraction import Extractor
from mcn.features.registry import library_versions
from mcn.options.encoders import LogMelOptions
from mcn.shards.clips import relative_levels
from mcn.shards.parts import Samples

VERSION = 1  # raise when the code changes the numbers
WINDOW_SECONDS, STEP_SECONDS = 0.025, 0.01
MEL_BANDS, LOWEST_HZ = 40, 20
PREEMPHASIS = 0.97
LEAST_POWER = 1e-10  # librosa's amin: below it power counts as this much
FRAMES_A_BLOCK = 8192  # windows transformed at once, to bound the memory
SAMPLES_A_STRETCH = 1 << 20  # a multiple of what NumPy adds up at once: equal to its sum of all

Padding = Literal["constant", "reflect"]
Sound = np.ndarray | Samples


def log_mel(
    waveform: Sound,
    sample_rate: int = 16000,
    padding: Padding = "constant",
    absolute: bool = False,
) -> np.ndarray:
    """Float32 (N,) -> float32 (40, T) dB, T = 1 + N // (sample_rate / 100).

    absolute: levels as they are, neither relative to the loudest nor floored but at -100 dB.
    Errors: ValueError where the waveform is not one-dimensional or not finite.
    """
    levels = np.concatenate(list(_blocks(waveform, sample_rate, padding)), axis=1)
    return levels if absolute else relative_levels(levels)


def log_mel_rows(
    waveform: Sound, sample_rate: int, padding: Padding, absolute: bool = False
) -> np.ndarray:
    """`log_mel` as it is stored: (T, 40) float16."""
    levels = np.empty((_count(len(waveform), sample_rate), MEL_BANDS), np.float32)
    starts = range(0, len(levels), FRAMES_A_BLOCK)
    for first, block in zip(starts, _blocks(waveform, sample_rate, padding), strict=True):
        levels[first : first + FRAMES_A_BLOCK] = block.T
    rows, loudest = np.empty(levels.shape, np.float16), levels.max()
    for first in starts:
        block = levels[first : first + FRAMES_A_BLOCK]
        relative = block if absolute else relative_levels(block, loudest)
        rows[first : first + FRAMES_A_BLOCK] = relative
    return rows


def _count(samples: int, sample_rate: int) -> int:
    """Windows of a waveform with half a window beyond either end."""
    window, step = round(WINDOW_SECONDS * sample_rate), round(STEP_SECONDS * sample_rate)
    return 1 + (samples + window // 2 * 2 - window) // step


def _blocks(waveform: Sound, sample_rate: int, padding: Padding) -> Iterator[np.ndarray]:
    """Absolute levels (40, at most FRAMES_A_BLOCK) of successive windows."""
    if not isinstance(waveform, Samples):
        waveform = np.asarray(waveform, dtype=np.float32)
    if waveform.ndim != 1:
        raise ValueError(f"waveform of shape {waveform.shape}, wanted (N,)")
    window, step = round(WINDOW_SECONDS * sample_rate), round(STEP_SECONDS * sample_rate)
    filters, taper = _mel_filters(sample_rate, window), hamming(window, sym=True)
    signal = _Signal(waveform, padding == "reflect" and len(waveform) > window // 2)
    before, count = window // 2, _count(len(waveform), sample_rate)
    for first in range(0, count, FRAMES_A_BLOCK):
        last = min(first + FRAMES_A_BLOCK, count) - 1
        block = signal.stretch(first * step - before, last * step - before + window)
        spectrum = librosa.stft(block, n_fft=window, hop_length=step, window=taper, center=False)
        yield _levels(filters @ np.square(np.abs(spectrum)))


class _Signal:
    """A waveform without its mean, high frequencies raised, continued beyond both ends."""

    def __init__(self, waveform: Sound, mirrored: bool) -> None:
        """Errors: ValueError where it is not finite."""
        self._waveform, self._mirrored = waveform, mirrored
        total = np.float64(0)
        for first in range(0, len(waveform), SAMPLES_A_STRETCH):
            stretch = waveform[first : first + SAMPLES_A_STRETCH]
            if not np.isfinite(stretch).all():
                raise ValueError("waveform holds NaN or infinity")
            total = np.add.reduce(stretch, dtype=np.float64, initial=total)
        self._mean = np.float32(total / max(1, len(waveform)))

    def stretch(self, first: int, last: int) -> np.ndarray:
        """Samples from `first` to before `last`, which may lie beyond the ends: float32 (last - first,)."""
        length = len(self._waveform)
        before, after = max(0, -first), max(0, last - length)
        inner = self._emphasised(first + before, last - after)
        if not before and not after:
            return inner
        if not self._mirrored:
            return np.pad(inner, (before, after))
        left = self._emphasised(1, before + 1)[::-1]
        right = self._emphasised(length - 1 - after, length - 1)[::-1]
        return np.concatenate([left, inner, right])

    def _emphasised(self, first: int, last: int) -> np.ndarray:
        """Samples that lie in the waveform."""
        start = max(0, first - 1)  # each sample needs the one before it
        centred = np.subtract(self._waveform[start:last], self._mean)
        centred[1:] -= np.float32(PREEMPHASIS) * centred[:-1]
        return centred[first - start :]


@functools.cache
def _mel_filters(sample_rate: int, window: int) -> np.ndarray:
    """(40, window / 2 + 1) float32."""
    return librosa.filters.mel(
        sr=sample_rate, n_fft=window, n_mels=MEL_BANDS, fmin=LOWEST_HZ, fmax=sample_rate / 2
    )


def _levels(power: np.ndarray) -> np.ndarray:
    """10 log10 of power."""
    return np.asarray(10 * np.log10(np.maximum(power, LEAST_POWER)))


def log_mel_extractor(name: str, options: LogMelOptions, threads: int) -> Extractor:
    """Decoded sound to rows (T, 40), 0.01 s apart; so many videos at a time as there are threads."""

    def encode(waveform: Sound) -> np.ndarray:
        of_clip = options.reference == "clip"
        return log_mel_rows(waveform, options.reads.sample_rate, options.padding, of_clip)

    recipe = {
        "feature": name,
        "version": VERSION,
        "padding": options.padding,
        **({"reference": options.reference} if options.reference != "video" else {}),
        "libraries": library_versions("librosa", "numpy", "scipy"),
    }
    return Extractor(name, encode, threads, recipe, step_seconds=STEP_SECONDS, network=False)
