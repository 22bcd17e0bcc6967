"""One video's streams, and the clips that training takes of it.

Conventions
-----------
- A clip's rows are views of its video's features. A stream that a video lacks gives no rows.
- `lines`: a clip is grown around a narration line (`mcn.shards.clips.extend_window`), or the line is widened on both
  sides (`TrainingOptions.window`). `random`: a window of
  `min_clip_seconds`, or the whole video where it is shorter, anywhere in it (AVLnet --random_audio_windows=1). `shift`:
  the window of another clip, moved.
- `sampling: moments`: a window of `min_clip_seconds` anywhere in the sound; the line that is said at its beginning or
  at its end gives the clip, and where there is none the window itself does (Everything at Once howto_dataset.py).
- Further texts of a clip (MIL-NCE): the run of lines grows, as a clip does, by the neighbour that leaves it shorter;
  every added line with a known word is a text. Near the ends of a video the other side gives more, and a video with
  too few lines gives fewer (the released loader repeats edge lines there, MIL-NCE_HowTo100M video_loader.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mcn.options.training import TrainingOptions
from mcn.shards import FeatureSequence
from mcn.shards.clips import (
    extend_window,
    mel_rows,
    rate_of,
    rows_between,
    values_of,
    window_of,
    words_of,
)
from mcn.shards.lines import Lines
from mcn.training.steps import ShownStep

FRAME_SECONDS = 0.01
EARLY_SECONDS = 0.0125  # half a window: before it there is no whole column
NOTHING = np.zeros((0, 0), np.float16)


class Clip(NamedTuple):
    """Rows of every stream between two times (s), its words, and further texts that may fit it."""

    start: float
    end: float
    visual: tuple[np.ndarray, ...]
    audio: np.ndarray
    words: list[int]
    candidates: list[list[int]]

    @property
    def present(self) -> dict[str, bool]:
        """Modality -> whether the clip has it."""
        return {
            "video": bool(self.visual) and all(map(len, self.visual)),
            "audio": bool(len(self.audio)),
            "text": bool(self.words),
        }


@dataclass(frozen=True)
class Video:
    """One video's streams, None where it lacks one; `log_mel` tells whether `audio` holds log-mel frames or vectors.

    visual: in the order of the clip vector. of_clip: 0 dB is the loudest value of each clip. lines: narration;
    None only for `random` windows. steps: the annotated ones, where the objective is told them.
    """

    visual: tuple[FeatureSequence | None, ...]
    audio: FeatureSequence | None
    log_mel: bool
    lines: Lines | None
    of_clip: bool = False
    steps: list[ShownStep] = field(default_factory=list)

    def clip(self, line: int, options: TrainingOptions, candidates: int = 1) -> Clip:
        """The clip grown around a narration line, with at most `candidates` texts."""
        assert self.lines is not None
        lines, line = self.lines.alike(line)
        starts, ends, tokens, _ = lines
        joined, span = [line], widened(starts[line], ends[line], options.min_clip_seconds)
        if options.window == "joined":
            joined = extend_window(starts, ends, line, options.min_clip_seconds)
            span = window_of(starts, ends, joined)
        further = neighbours(lines, joined)
        texts = (words_of([other], tokens, options.max_words) for other in further)
        clip = self.window(
            *span,
            options,
            words_of(joined, tokens, options.max_words),
            list(itertools.islice(filter(None, texts), candidates - 1)),
        )
        if not options.sound_shift_seconds:
            return clip
        start = span[0] + options.sound_shift_seconds
        return clip._replace(
            audio=self._audio_rows(start, start + options.min_clip_seconds, options)
        )

    def window(
        self,
        start: float,
        end: float,
        options: TrainingOptions,
        words: list[int] | None = None,
        candidates: list[list[int]] | None = None,
    ) -> Clip:
        """What lies between two times, its sound no longer than `audio_frames` log-mel frames last."""
        return Clip(
            start,
            end,
            tuple(rows_of(sequence, start, end) for sequence in self.visual),
            self._audio_rows(start, end, options),
            words or [],
            candidates or [],
        )

    def words(self, start: float, end: float, language: str, most: int) -> list[int]:
        """The first `most` words in a language that are said between two times."""
        if self.lines is None:
            return []
        return words_of(self.lines.within(start, end, language), self.lines.tokens, most)

    def random_window(self, rng: np.random.Generator, options: TrainingOptions) -> Clip:
        """A window anywhere in what pictures and sound have in common."""
        spans = [span_of(one) for one in (*self.visual, self.audio) if one is not None]
        first, last = max(span[0] for span in spans), min(span[1] for span in spans)
        length = min(options.min_clip_seconds, last - first)
        start = first + rng.random() * (last - first - length)
        return self.window(start, start + length, options)

    def moment(self, rng: np.random.Generator, options: TrainingOptions) -> Clip:
        """The clip of the line that is said where a window begins or ends that is drawn anywhere; or the window."""
        assert self.lines is not None
        starts, ends = self.lines.starts, self.lines.ends
        first, last = span_of(next(one for one in (self.audio, *self.visual) if one is not None))
        room = max(0.0, int(last - first + EARLY_SECONDS) - options.min_clip_seconds)
        start = first + rng.random() * room
        end = start + options.min_clip_seconds
        for moment in (start, end):
            line = max(0, int(np.searchsorted(starts, moment)) - 1)
            if starts[line] <= moment <= ends[line]:
                return self.clip(line, options)
        return self.window(start, end, options)

    def shifted(
        self,
        clip: Clip,
        rng: np.random.Generator,
        options: TrainingOptions,
        shifts: tuple[float, float],
    ) -> Clip:
        """A clip's window, shifted by `least` to `most` seconds to a side with room; empty without room."""
        distance = rng.uniform(*shifts)
        sides = [distance, -distance] if rng.random() < 0.5 else [-distance, distance]
        last = span_of(self.audio)[1] if self.audio is not None else 0.0
        for offset in sides:
            start, end = clip.start + offset, clip.end + offset
            if start >= 0 and end <= last:
                return self.window(start, end, options)
        return clip._replace(visual=(NOTHING,) * len(self.visual), audio=NOTHING, words=[])

    def _audio_rows(self, start: float, end: float, options: TrainingOptions) -> np.ndarray:
        frames = options.audio_frames
        if not self.log_mel or self.audio is None:
            return rows_of(self.audio, start, min(end, start + frames * FRAME_SECONDS))
        first = self.audio.start_seconds
        if options.early_sound == "lost" and start - first < EARLY_SECONDS:
            return NOTHING
        span = start - first, end - first
        return mel_rows(values_of(self.audio), *span, frames, self.of_clip)


def widened(start: float, end: float, seconds: float) -> tuple[float, float]:
    """A line with as much time on both sides that it lasts `seconds`, cut to whole seconds.

    Near the beginning of a video it is later, not shorter (MCN youtube_mil_dataloader.py, `_get_text`).
    """
    if end - start < seconds:
        start = max(0.0, start - (seconds - end + start) / 2)
        end = start + seconds
    return float(int(start)), float(int(end))


def rows_of(sequence: FeatureSequence | None, start: float, end: float) -> np.ndarray:
    """The rows of a sequence between two times."""
    if sequence is None:
        return NOTHING
    values, first = values_of(sequence), sequence.start_seconds
    return values[rows_between(start - first, end - first, rate_of(sequence), len(values))]


def span_of(sequence: FeatureSequence) -> tuple[float, float]:
    """Seconds from container start at which a sequence begins and ends."""
    length = len(values_of(sequence)) * sequence.step_seconds
    return sequence.start_seconds, sequence.start_seconds + length


def neighbours(lines: Lines, joined: Sequence[int]) -> Iterator[int]:
    """The lines beside a run of lines, in the order in which the run would grow over them."""
    starts, ends = lines.starts, lines.ends
    first, last = min(joined), max(joined)
    while first > 0 or last + 1 < len(starts):
        before = ends[last] - starts[first - 1] if first else np.inf
        after = ends[last + 1] - starts[first] if last + 1 < len(starts) else np.inf
        if before <= after:
            first -= 1
            yield first
        else:
            last += 1
            yield last


def acceptable(clip: Clip, modalities: Collection[str], policy: str) -> bool:
    """Whether a clip may be trained on: `redraw`: it has every modality; `mask`: two of them; `keep`: always."""
    return enough({name for name, there in clip.present.items() if there}, modalities, policy)


def enough(there: Collection[str], modalities: Collection[str], policy: str) -> bool:
    """`acceptable` of the modalities that are there."""
    found = len(set(there) & set(modalities))
    return policy == "keep" or found == len(modalities) or (policy == "mask" and found >= 2)


def draw_lines(
    rng: np.random.Generator, lines: int, clips: int, accept: Callable[[int], bool]
) -> tuple[list[int], int]:
    """`clips` acceptable lines, uniform and with replacement, and how many draws were in vain."""
    drawn: list[int] = []
    rejected = 0
    while len(drawn) < clips:
        for line in rng.integers(lines, size=clips - len(drawn)).tolist():
            if accept(line):
                drawn.append(line)
            else:
                rejected += 1
        if not drawn and not any(accept(line) for line in range(lines)):
            raise ValueError(f"none of {lines} lines is acceptable")
    return drawn, rejected


def draw_distinct_lines(
    rng: np.random.Generator, lines: int, clips: int, accept: Callable[[int], bool]
) -> tuple[list[int], int]:
    """`clips` acceptable lines, none twice before every line was drawn once, and the number of draws that failed."""
    drawn: list[int] = []
    rejected = 0
    for line in rng.permutation(lines).tolist():
        if accept(line):
            drawn.append(line)
            if len(drawn) == clips:
                return drawn, rejected
        else:
            rejected += 1
    if not drawn:
        raise ValueError(f"none of {lines} lines is acceptable")
    acceptable = np.array(drawn)
    while len(drawn) < clips:
        drawn += rng.permutation(acceptable).tolist()
    return drawn[:clips], rejected
