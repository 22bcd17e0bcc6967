"""Speech for tests, by espeak-ng: sound files of sentences in a few languages, of noise, music and silence.

`say(path, text, voice)` speaks in a process of its own, since espeak-ng keeps state from sentence to sentence.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import wave
from pathlib import Path

import numpy as np

RATE = 16_000
SENTENCES = (
    "First cut the onions into small pieces and put them into the pan.",
    "Then add a little oil and let them fry until they are golden.",
    "Now pour in the tomatoes and stir the soup slowly.",
)
OTHERS = {
    "nl": "Snijd eerst de uien in kleine stukjes en doe ze in de pan. Voeg dan een beetje olie toe en laat ze bakken "
    "tot ze goudbruin zijn. Giet nu de tomaten erbij en roer de soep langzaam.",
    "de": "Schneide zuerst die Zwiebeln in kleine Stücke und gib sie in die Pfanne. Dann gib etwas Öl dazu und lass "
    "sie braten, bis sie goldbraun sind. Gieße nun die Tomaten dazu und rühre die Suppe langsam um.",
}


def say(path: Path, text: str, voice: str = "en-us", pause_seconds: float = 0.0) -> Path:
    """A wav file (16 kHz, mono) of `text` after `pause_seconds` of silence."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        samples = pool.apply(_spoken, (text, voice))
    silence = np.zeros(round(pause_seconds * RATE), np.float32)
    return write_wav(path, np.concatenate([silence, samples]))


def _spoken(text: str, voice: str) -> np.ndarray:
    from mcn.demo.speech import Speaker

    speaker = Speaker("adam", 150, 50)
    assert speaker._library.espeak_SetVoiceByName(voice.encode()) == 0, voice
    speaker._pieces.clear()
    data = text.encode() + b"\0"
    speaker._library.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 1, 0, 1, None, None)
    from scipy.signal import resample_poly

    return resample_poly(np.concatenate(speaker._pieces) / 32768, 320, 441).astype(np.float32)


def write_wav(path: Path, samples: np.ndarray) -> Path:
    """Mono samples in [-1, 1] at 16 kHz as 16-bit wav."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(round(seconds * RATE)) * 0.1


def music(seconds: float) -> np.ndarray:
    """Plucked notes, two a second, with harmonics."""
    time = np.arange(RATE // 2) / RATE
    notes = np.random.default_rng(0).choice([220, 247, 262, 294, 330, 349, 392], round(2 * seconds))
    parts = [
        sum(np.sin(2 * np.pi * note * h * time) * np.exp(-4 * time) / h for h in (1, 2, 3, 4))
        for note in notes
    ]
    return np.concatenate(parts) * 0.25


def word_error_rate(said: str, heard: str) -> float:
    """Insertions, deletions and substitutions over the number of words said, by words without case and punctuation."""
    one, other = (
        "".join(c for c in text.lower() if c.isalnum() or c in " '").split()
        for text in (said, heard)
    )
    row = list(range(len(other) + 1))
    for i, word in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, found in enumerate(other, start=1):
            best = min(row[j] + 1, row[j - 1] + 1, before + (word != found))
            before, row[j] = row[j], best
    return row[-1] / len(one)
