"""Synthesised speech with word times: espeak-ng through ctypes.

Conventions
-----------
- Sound is float32 mono at `SAMPLE_RATE`, within [-1, 1]; word times are seconds from the sentence's start.
- espeak-ng keeps state from sentence to sentence, which changes the samples. Equal sound for equal text therefore
  needs equal sentences before it: one fresh process a video (`mcn.demo.render`).
- The library comes with `espeakng-loader` (GPL-3, loaded at run time, an optional extra).
- Constants and structures are those of espeak-ng's speak_lib.h.
"""

from __future__ import annotations

import ctypes
import importlib.util
from typing import Any, NamedTuple

import numpy as np
from scipy.signal import resample_poly

from mcn.errors import UserError

SAMPLE_RATE = 16_000
# Only voices without `breath`: espeak-ng's breath filter starts from uninitialised memory, other sound every run.
VOICES = (
    *("adam", "david", "edward", "m1", "m3", "m5", "m7"),
    *("Andrea", "belinda", "f1", "f4", "linda", "steph"),
)

SPOKEN = {"en": "en-us", "de": "de", "es": "es"}  # language -> espeak-ng's voice

_AUDIO_OUTPUT_SYNCHRONOUS, _POSITION_CHARACTER, _CHARACTERS_UTF8 = 2, 1, 1
_RATE, _PITCH, _EVENT_WORD = 1, 3, 1
_ESPEAK_RATE = 22_050


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # characters, 1-based
        ("length", ctypes.c_int),  # characters
        ("audio_position", ctypes.c_int),  # milliseconds
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


class Word(NamedTuple):
    """A spoken word and when it begins, in seconds."""

    start: float
    text: str


class Sentence(NamedTuple):
    """`samples` (N,) float32 and the words in it."""

    samples: np.ndarray
    words: list[Word]

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def require_speech() -> None:
    """`UserError` where `espeakng-loader` is not installed."""
    if importlib.util.find_spec("espeakng_loader") is None:
        raise UserError(
            "no package espeakng-loader, which speaks the demo's narration",
            "the extra `demo`",
            "pip install -e '.[demo]'",
        )


class Speaker:
    """One narrator: a voice, words a minute, pitch 0..99, language of `SPOKEN`."""

    def __init__(self, voice: str, rate: int, pitch: int, language: str = "en") -> None:
        require_speech()
        import espeakng_loader  # an optional extra

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        found = self._library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, 0)
        if found != _ESPEAK_RATE:
            raise RuntimeError(f"espeak-ng speaks at {found} Hz, wanted {_ESPEAK_RATE}")
        self._pieces: list[np.ndarray] = []
        self._words: list[tuple[float, int, int]] = []
        signature = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
        )
        self._callback = signature(self._receive)  # kept: the library holds only a pointer
        self._library.espeak_SetSynthCallback(self._callback)
        if self._library.espeak_SetVoiceByName(f"{SPOKEN[language]}+{voice}".encode()):
            raise ValueError(f"no voice {voice!r}")
        self._library.espeak_SetParameter(_RATE, rate, 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)

    def _receive(self, wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            self._pieces.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while events[index].type:  # 0 ends the list
            event = events[index]
            if event.type == _EVENT_WORD:
                place = event.text_position - 1, event.length
                self._words.append((event.audio_position / 1000, *place))
            index += 1
        return 0  # go on

    def say(self, text: str) -> Sentence:
        """Speak one sentence."""
        self._pieces.clear()
        self._words.clear()
        data = text.encode() + b"\0"
        failed = self._library.espeak_Synth(
            data,
            ctypes.c_size_t(len(data)),
            0,
            _POSITION_CHARACTER,
            0,
            _CHARACTERS_UTF8,
            None,
            None,
        )
        if failed or not self._pieces:
            raise RuntimeError(f"espeak-ng could not say {text!r}")
        samples = np.concatenate(self._pieces).astype(np.float32) / 32768
        resampled = resample_poly(samples, 320, 441).astype(np.float32)  # 22.05 -> 16 kHz
        words = [Word(start, text[at : at + length]) for start, at, length in self._words]
        return Sentence(resampled, words)
