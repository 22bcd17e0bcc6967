"""Sounds of actions, synthesised: struck, turning, rubbing and flowing things.

Conventions
-----------
- `action_sound(kind, seconds, rng)` -> (N,) float32 at 16 kHz, root mean square `LEVEL` (speech is about 0.1).
- A sound is a train of hits (short decaying tones) or noise in a band whose loudness follows a rhythm. Rates and
  bands of the kinds differ, so that they can be told apart in a log-mel spectrogram.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.signal import butter, sosfilt

from mcn.demo.speech import SAMPLE_RATE

LEVEL = 0.05
HIT_SECONDS = 0.3  # length after which a hit has died away


class Hits(NamedTuple):
    """A tone of `hertz` every `period` seconds, decaying by e in 1 / `decay` seconds; `noise` is its noisy part."""

    period: float
    hertz: float
    decay: float
    noise: float


class Noise(NamedTuple):
    """Noise between `low` and `high` hertz, its loudness following `rhythm` hertz with exponent `sharpness`."""

    low: float
    high: float
    rhythm: float
    sharpness: float


SOUNDS: dict[str, Hits | Noise] = {
    "tap": Hits(0.33, 900, 45, 0.6),
    "clink": Hits(0.52, 3100, 14, 0.05),
    "thud": Hits(0.9, 110, 14, 0.2),
    "bang": Hits(0.6, 420, 12, 0.5),
    "ratchet": Hits(0.075, 2200, 120, 0.8),
    "snip": Hits(0.45, 5200, 30, 2.0),
    "stitch": Hits(0.12, 1500, 60, 0.3),
    "creak": Hits(0.022, 520, 60, 0.1),
    "gurgle": Noise(300, 900, 5.0, 2.0),
    "shower": Noise(2500, 6500, 0.3, 0.2),
    "sizzle": Noise(5000, 7800, 17.0, 0.5),
    "rasp": Noise(1200, 5000, 1.2, 2.0),
    "zip": Noise(3500, 5000, 0.5, 4.0),
    "whirr": Noise(650, 800, 0.7, 1.0),
    "stroke": Noise(500, 2200, 0.8, 3.0),
    "scrub": Noise(900, 3000, 2.2, 1.5),
}


def action_sound(kind: str, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """The sound of an action, faded in and out: (N,) float32; `KeyError` for an unknown kind."""
    sound = SOUNDS[kind]
    count = round(seconds * SAMPLE_RATE)
    tempo = rng.uniform(0.9, 1.1)
    wave = (
        _hits(sound, tempo, count, rng)
        if isinstance(sound, Hits)
        else _noise(sound, tempo, count, rng)
    )
    fade = np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.1 * SAMPLE_RATE)
    wave *= np.minimum(fade, 1)
    loudness = np.sqrt(np.mean(np.square(wave))) + 1e-9
    return (wave * (LEVEL / loudness)).astype(np.float32)


def _hits(sound: Hits, tempo: float, count: int, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(round(HIT_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    wave = np.zeros(count + len(time))
    period = sound.period / tempo
    for start in np.arange(rng.uniform(0, period), count / SAMPLE_RATE, period):
        at = min(count, max(0, round((start + rng.normal(0, 0.04 * period)) * SAMPLE_RATE)))
        tone = np.sin(2 * np.pi * sound.hertz * rng.uniform(0.97, 1.03) * time)
        hiss = sound.noise * rng.standard_normal(len(time))
        wave[at : at + len(time)] += np.exp(-sound.decay * time) * (tone + hiss)
    return wave[:count]


def _noise(sound: Noise, tempo: float, count: int, rng: np.random.Generator) -> np.ndarray:
    band = butter(3, (sound.low, sound.high), "bandpass", fs=SAMPLE_RATE, output="sos")
    time = np.arange(count) / SAMPLE_RATE
    beat = np.abs(np.sin(np.pi * sound.rhythm * tempo * time + rng.uniform(0, np.pi)))
    return sosfilt(band, rng.standard_normal(count)) * (0.1 + beat**sound.sharpness)


def background(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Room noise and, in every fourth video, soft music: (N,) float32."""
    count = round(seconds * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    wave = 0.003 * rng.standard_normal(count)
    if rng.random() < 0.25:
        root = rng.uniform(180, 300)
        beat = np.floor(time * rng.uniform(1.5, 2.5)).astype(int)
        scale = np.array([1, 5 / 4, 3 / 2, 2])[rng.integers(4, size=beat.max() + 1)]
        wave += 0.012 * np.sin(2 * np.pi * root * np.cumsum(scale[beat]) / SAMPLE_RATE)
    return wave.astype(np.float32)
