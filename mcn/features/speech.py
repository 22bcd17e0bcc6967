"""What is said in a file, by speech recognition: lines with word times, or the reason why nothing is believed.

Conventions
-----------
- The engine is faster-whisper (Whisper in CTranslate2), on the processor, with the most likely words alone
  (temperature 0): the same sound gives the same words, and a stretch that fails is dropped instead of guessed again.
- Sound is read as for log-mels, mono at 16 kHz, in blocks of at most `BLOCK_SECONDS` that are cut where nobody
  speaks, so that memory does not grow with the length. Only stretches with a voice (Silero) are listened to, each of at
  most 30 s and on its own: what was said before is no prompt, so that an error does not spread.
- Nothing is invented: a stretch counts if its average log-probability is high enough and it does not repeat itself
  (compression ratio). A model of one language makes words of that language out of any other; what it is fed then
  repeats itself or is unlikely. Its limit is therefore higher, and where less than `min_understood` of the seconds with
  a voice pass it, the whole video is `unknown_language`. Figures: docs/speech.md.
- Confidence of a line: exp(average log-probability), the geometric mean of its tokens'; of a word: its probability.
- `recognise` runs in a child process (`mcn.media.isolation`), where the model stays loaded from video to video.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mcn.errors import UserError, VideoError
from mcn.features.embedded import locate
from mcn.features.registry import library_versions
from mcn.files import file_sha256
from mcn.media.audio import mono_samples
from mcn.options.row import EMBEDDED_PREFIX
from mcn.options.speech import TranscribeOptions
from mcn.sources.narration import Line

VERSION = 1  # raise when the code changes the words
SAMPLE_RATE = 16_000
BLOCK_SECONDS = 300
LONGEST_SECONDS = 30  # of a stretch: what Whisper hears at once
LEAST_SECONDS = 0.25  # of a voice (Silero's min_speech_duration_ms)
# Tokens of a stretch (Whisper: half its text context); what goes on repeats itself
LONGEST_ANSWER = 224
INSTALL = 'pip install "mcn[speech]"'


class Word(NamedTuple):
    """A word and when it is said, in seconds from container start; confidence: 0 to 1."""

    start_seconds: float
    end_seconds: float
    text: str
    confidence: float


@dataclass(frozen=True)
class SpokenLine:
    """A line that is said. confidence: None, and no words, where it was not recognised but written down.

    language: of a line that was written down, where it is known.
    """

    line: Line
    confidence: float | None
    words: list[Word]
    language: str = ""


@dataclass(frozen=True)
class Heard:
    """What was understood of a file. voice_seconds: with a voice; understood_seconds: of these, those that count."""

    lines: list[SpokenLine]
    language: str
    language_confidence: float
    voice_seconds: float
    understood_seconds: float


@dataclass(frozen=True)
class Recogniser:
    """A model that is there: its folder, and what a recipe says of it."""

    folder: Path
    recipe: dict[str, Any]


def find_recogniser(options: TranscribeOptions) -> Recogniser:
    """The model that the options name, fetched where it is a name of the hub.

    Errors: `UserError` where faster-whisper or the model is missing, or its sha256 is another one.
    """
    if find_spec("faster_whisper") is None:
        cure = f"{INSTALL}, or `recognize: false` to read narration files and subtitles alone"
        raise UserError("no package faster-whisper", "the speech recogniser", cure)
    name = options.model
    if name.startswith(EMBEDDED_PREFIX):
        located = locate(name)
        folder, source = located.folder, located.recipe
    else:
        folder = Path(name) if Path(name).is_dir() else _fetched(name)
        weights = folder / "model.bin"
        if not weights.is_file():
            cure = "name a folder of a CTranslate2 model, or a model of faster-whisper"
            raise UserError(f"no {weights}", "a model of faster-whisper", cure)
        source = {"source": Path(name).name, "sha256": file_sha256(weights)}
    if options.model_sha256 not in (None, source["sha256"]):
        got, cure = f"{name} with sha256 {source['sha256']}", "get the right model, or correct it"
        raise UserError(got, f"model_sha256 {options.model_sha256}", cure)
    libraries = library_versions("faster-whisper", "ctranslate2", "onnxruntime", "soxr", "av")
    return Recogniser(folder, {"version": VERSION, "model": source, "libraries": libraries})


def _fetched(name: str) -> Path:
    from faster_whisper.utils import download_model  # an optional extra

    try:
        return Path(download_model(name))
    except Exception as error:  # of the hub's client, of many kinds
        got = f"model {name!r}: {type(error).__name__}: {str(error).splitlines()[0]}"
        cure = (
            "correct the name, fetch it where there is a network, or use embedded:whisper_tiny_en"
        )
        raise UserError(got, "a folder, or a model that faster-whisper can fetch", cure) from error


def recognise(path: Path, folder: Path, options: TranscribeOptions, threads: int) -> Heard:
    """What is said in a file. folder: of the model; threads: of the processor.

    Errors: those of `mono_samples`; `no_speech` where nobody speaks, `unknown_language` where what is said cannot be
    made out.
    """
    model = _model(folder, options.compute_type, threads)
    listener = _Listener(model, options)
    for start, block in _blocks(mono_samples(path, SAMPLE_RATE), options.voice_threshold):
        listener.listen(start, block)
    return listener.heard()


@functools.lru_cache(maxsize=1)
def _model(folder: Path, compute_type: str, threads: int) -> Any:
    from faster_whisper import WhisperModel  # an optional extra

    return WhisperModel(
        str(folder),
        device="cpu",
        compute_type=compute_type,
        cpu_threads=threads,
        local_files_only=True,
    )


def _voices(samples: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """First and last sample of every stretch with a voice."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps  # an optional extra

    options = VadOptions(
        threshold=threshold,
        min_speech_duration_ms=round(1000 * LEAST_SECONDS),
        max_speech_duration_s=LONGEST_SECONDS,
    )
    found = get_speech_timestamps(samples, options, SAMPLE_RATE)
    return [(int(one["start"]), int(one["end"])) for one in found]


def _blocks(
    chunks: Iterator[np.ndarray], threshold: float
) -> Iterator[tuple[float, list[tuple[int, np.ndarray]]]]:
    """(start in seconds, stretches with a voice as (first sample, samples)) of blocks that end where nobody speaks."""
    size, position = BLOCK_SECONDS * SAMPLE_RATE, 0
    waiting: list[np.ndarray] = []
    length, ended = 0, False
    while not ended:
        while length < size:
            chunk = next(chunks, None)
            if chunk is None:
                ended = True
                break
            waiting.append(chunk)
            length += len(chunk)
        block = np.concatenate(waiting) if waiting else np.zeros(0, np.float32)
        voices = _voices(block, threshold) if len(block) else []
        cut = len(block)
        if not ended and voices and voices[-1][1] > cut - SAMPLE_RATE and len(voices) > 1:
            cut = voices.pop()[0]  # whoever speaks at the end is heard with the next block
        yield position / SAMPLE_RATE, [(first, block[first:last]) for first, last in voices]
        position += cut
        waiting, length = [block[cut:]], len(block) - cut


class _Listener:
    """Gathers what is understood of one file, stretch by stretch."""

    def __init__(self, model: Any, options: TranscribeOptions) -> None:
        self._model, self._options = model, options
        self._one_language = not model.model.is_multilingual
        self._language = "en" if self._one_language else options.language
        self._language_confidence = 1.0
        self._lines: list[SpokenLine] = []
        self._voice = self._understood = 0.0

    def listen(self, start: float, stretches: list[tuple[int, np.ndarray]]) -> None:
        """Hear the stretches of a block that starts at `start` seconds."""
        for first, samples in stretches:
            self._hear(start + first / SAMPLE_RATE, samples)

    def _hear(self, start: float, samples: np.ndarray) -> None:
        segments, info = self._model.transcribe(
            samples,
            language=self._language,
            beam_size=self._options.beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            max_new_tokens=LONGEST_ANSWER,
            log_prob_threshold=self._options.min_log_probability,
            compression_ratio_threshold=self._options.max_compression_ratio,
        )
        if self._language is None:
            self._language, self._language_confidence = info.language, info.language_probability
        seconds, spoken, believed = len(samples) / SAMPLE_RATE, 0.0, 0.0
        for segment in segments:
            length = float(segment.end - segment.start)
            spoken += length
            if self._believed(segment):
                believed += length
                self._lines.append(_spoken(segment, start))
        self._voice += seconds
        self._understood += seconds * believed / spoken if spoken else 0.0

    def _believed(self, segment: Any) -> bool:
        limit = self._options.min_log_probability
        if self._one_language:
            limit = max(limit, self._options.min_log_probability_one_language)
        return bool(
            segment.text.strip()
            and segment.avg_logprob >= limit
            and segment.compression_ratio <= self._options.max_compression_ratio
        )

    def heard(self) -> Heard:
        """All of it. Errors: `no_speech`, `unknown_language`."""
        if self._voice == 0:
            raise VideoError("no_speech", "no stretch of the sound has a voice in it")
        share = self._understood / self._voice
        if not self._lines or (self._one_language and share < self._options.min_understood):
            words = f"{self._voice:.0f} s with a voice, {share:.0%} of it understood as {self._language}"
            raise VideoError("unknown_language", words)
        return Heard(
            self._lines,
            self._language or "",
            self._language_confidence,
            self._voice,
            self._understood,
        )


def _spoken(segment: Any, offset: float) -> SpokenLine:
    """A segment of faster-whisper, whose times count from `offset` seconds."""
    words = [
        Word(
            round(float(offset + word.start), 3),
            round(float(offset + word.end), 3),
            word.word.strip(),
            round(float(word.probability), 4),
        )
        for word in segment.words or ()
    ]
    start = words[0].start_seconds if words else round(float(offset + segment.start), 3)
    end = max(start, words[-1].end_seconds if words else round(float(offset + segment.end), 3))
    text = " ".join(segment.text.split())
    return SpokenLine(Line(start, end, text), round(math.exp(segment.avg_logprob), 4), words)
