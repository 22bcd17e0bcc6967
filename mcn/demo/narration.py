"""From a plan to its sound track and to what a speech recognizer would write of it.

Conventions
-----------
- Sentences never overlap: one that is late waits. A narrator who is more than `LATE_SECONDS` late leaves out talk
  that is not about a step; what would not end before the video does is not said.
- Lines are lower case, at most `LINE_WORDS` words, broken at pauses, regardless of sentences, as automatic captions
  are. A share `WORD_ERROR_RATE` of the words is misheard or lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from mcn.demo.plan import Shot, VideoPlan
from mcn.demo.sounds import action_sound, background
from mcn.demo.speech import SAMPLE_RATE, Sentence, Speaker, Word
from mcn.demo.story import STORIES, STORY

LATE_SECONDS = 0.8
PAUSE_SECONDS = 0.08  # between sentences
LINE_WORDS = 8
LINE_BREAK_SECONDS = 0.9  # from one word's start to the next word's
LAST_WORD_SECONDS = 0.45
WORD_ERROR_RATE = 0.06
SPEECH_LEVEL = 0.1  # root mean square; actions sound at about half of it


class Line(NamedTuple):
    """One caption line, seconds from the start of the video."""

    start: float
    end: float
    text: str


class Utterance(NamedTuple):
    """A sentence and when it is said."""

    start: float
    sentence: Sentence


def speak(plan: VideoPlan) -> list[Utterance]:
    """Say a video's sentences in order, each when its shot and the sentences before it allow."""
    speaker = Speaker(plan.voice, plan.words_a_minute, plan.pitch, plan.language)
    said: list[Utterance] = []
    free = 0.1
    for wanted, text, idle in _sentences(plan):
        if idle and free - wanted > LATE_SECONDS:
            continue
        sentence = speaker.say(text)
        start = max(free, wanted)
        if start + sentence.seconds > plan.seconds:
            continue
        said.append(Utterance(start, sentence))
        free = start + sentence.seconds + PAUSE_SECONDS
    return said


def _sentences(plan: VideoPlan) -> Iterator[tuple[float, str, bool]]:
    """When each sentence should begin, what it is, and whether it is not about a step."""
    for shot in plan.shots:
        every = (shot.end - shot.start) / len(shot.sentences)
        for position, text in enumerate(shot.sentences):
            if text:
                yield max(0.0, shot.start + shot.lag + position * every), text, shot.step is None


def sound_track(plan: VideoPlan, said: list[Utterance], rng: np.random.Generator) -> np.ndarray:
    """Speech, sounds of actions and background of a video: (N,) float32 at 16 kHz within [-1, 1]."""
    track = background(plan.seconds, rng)
    for shot in plan.steps:
        sound = _shot_sound(shot, rng)
        at = round(shot.start * SAMPLE_RATE)
        track[at : at + len(sound)] += sound[: len(track) - at]
    for start, sentence in said:
        at = round(start * SAMPLE_RATE)
        loudness = np.sqrt(np.mean(np.square(sentence.samples)))
        track[at : at + len(sentence.samples)] += (
            sentence.samples[: len(track) - at] * SPEECH_LEVEL / loudness
        )
    return np.clip(track * rng.uniform(0.7, 1.1), -1, 1)


def _shot_sound(shot: Shot, rng: np.random.Generator) -> np.ndarray:
    assert shot.step is not None
    kind = STORY.actions[shot.step.action].sound
    return action_sound(kind, shot.end - shot.start, rng) * rng.uniform(0.7, 1.2)


def transcribe(said: list[Utterance], rng: np.random.Generator, language: str = "en") -> list[Line]:
    """Caption lines with the errors of a speech recognizer of a language."""
    misheard = STORIES[language].misheard
    words = [
        Word(start + word.start, word.text.lower())
        for start, sentence in said
        for word in sentence.words
    ]
    ends = [min(word.start + LAST_WORD_SECONDS, after.start) for word, after in pairwise(words)]
    ends += [word.start + LAST_WORD_SECONDS for word in words[-1:]]
    lines: list[Line] = []
    first = 0
    for index, word in enumerate(words):
        last = index + 1 == len(words)
        pause = not last and words[index + 1].start - word.start > LINE_BREAK_SECONDS
        if last or pause or index + 1 - first == LINE_WORDS:
            heard = " ".join(_mishear([w.text for w in words[first : index + 1]], misheard, rng))
            if heard:
                lines.append(Line(words[first].start, ends[index], heard))
            first = index + 1
    return lines


def _mishear(words: list[str], misheard: Mapping[str, str], rng: np.random.Generator) -> list[str]:
    heard = []
    for word in words:
        if rng.random() >= WORD_ERROR_RATE:
            heard.append(word)
        elif word in misheard:
            heard.append(misheard[word])
    return heard


def subtitles(lines: list[Line]) -> str:
    """The lines as SubRip (.srt)."""
    return "".join(
        f"{number}\n{_clock(line.start)} --> {_clock(line.end)}\n{line.text}\n\n"
        for number, line in enumerate(lines, start=1)
    )


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02},{milliseconds % 1000:03}"
