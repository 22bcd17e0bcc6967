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
from mcn.features.runtime import Runtime
from mcn.options.encoders import LogMelOptions
from mcn.shards.clips import relative_levels

VERSION = 1  # raise when the code changes the numbers
WINDOW_SECONDS, STEP_SECONDS = 0.025, 0.01
MEL_BANDS, LOWEST_HZ = 40, 20
PREEMPHASIS = 0.97
LEAST_POWER = 1e-10  # librosa's amin: below it power counts as this much
FRAMES_A_BLOCK = 8192  # windows transformed at once, to bound the memory

Padding = Literal["constant", "reflect"]


def log_mel(
    waveform: np.ndarray,
    sample_rate: int = 16000,
    padding: Padding = "constant",
    absolute: bool = False,
) -> np.ndarray:
    """Float32 (N,) -> float32 (40, T) dB, T = 1 + N // (sample_rate / 100).

    absolute: levels as they are, neither relative to the loudest nor floored but at -100 dB.
    Errors: ValueError where the waveform is not one-dimensional or not finite.
    """
    waveform = np.asarray(waveform, dtype=np.float32)
    if waveform.ndim != 1:
        raise ValueError(f"waveform of shape {waveform.shape}, wanted (N,)")
    if not np.isfinite(waveform).all():
        raise ValueError("waveform holds NaN or infinity")
    window, step = round(WINDOW_SECONDS * sample_rate), round(STEP_SECONDS * sample_rate)
    filters = _mel_filters(sample_rate, window)
    mirrored = padding == "reflect" and len(waveform) > window // 2
    padded = np.pad(_emphasise(waveform), window // 2, "reflect" if mirrored else "constant")
    blocks = [filters @ power for power in _power_spectra(padded, window, step)]
    levels = _levels(np.concatenate(blocks, axis=1))
    return levels if absolute else relative_levels(levels)


def _emphasise(waveform: np.ndarray) -> np.ndarray:
    """The waveform without its mean, high frequencies raised."""
    if len(waveform) == 0:
        return waveform
    centred = waveform - waveform.mean(dtype=np.float64).astype(np.float32)
    centred[1:] -= np.float32(PREEMPHASIS) * centred[:-1]
    return np.asarray(centred)


def _power_spectra(padded: np.ndarray, window: int, step: int) -> Iterator[np.ndarray]:
    """|X|^2 (window / 2 + 1, at most FRAMES_A_BLOCK) of successive windows."""
    taper = hamming(window, sym=True)
    count = 1 + (len(padded) - window) // step
    for first in range(0, count, FRAMES_A_BLOCK):
        last = min(first + FRAMES_A_BLOCK, count) - 1
        block = padded[first * step : last * step + window]
        spectrum = librosa.stft(block, n_fft=window, hop_length=step, window=taper, center=False)
        yield np.square(np.abs(spectrum))


@functools.cache
def _mel_filters(sample_rate: int, window: int) -> np.ndarray:
    """(40, window / 2 + 1) float32."""
    return librosa.filters.mel(
        sr=sample_rate, n_fft=window, n_mels=MEL_BANDS, fmin=LOWEST_HZ, fmax=sample_rate / 2
    )


def _levels(power: np.ndarray) -> np.ndarray:
    """10 log10 of power."""
    return np.asarray(10 * np.log10(np.maximum(power, LEAST_POWER)))


def log_mel_extractor(name: str, options: LogMelOptions, weights: str, place: Runtime) -> Extractor:
    """Decoded sound to rows (T, 40), 0.01 s apart; there are no weights, and the runtime gives the workers alone."""

    def encode(waveform: np.ndarray) -> np.ndarray:
        of_clip = options.reference == "clip"
        return log_mel(waveform, options.reads.sample_rate, options.padding, of_clip).T

    recipe = {
        "feature": name,
        "version": VERSION,
        "padding": options.padding,
        **({"reference": options.reference} if options.reference != "video" else {}),
        "libraries": library_versions("librosa", "numpy", "scipy"),
    }
    return Extractor(name, encode, place.threads, recipe, step_seconds=STEP_SECONDS)
