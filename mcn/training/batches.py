"""From videos to the tensors of one batch.

Conventions
-----------
- Clips of one video are neighbours in the batch: row = video * clips_per_video + clip.
- Where an objective or a network takes the rows of clips (`Needs.rows`), clips have the rows of all their features side
  by side, as they are in the shards, filled up with zero rows to the longest of the batch.
- A process that shares its steps with others draws all clips, as they do, and copies the pictures and the sound of its
  own videos alone (`Batch.held`). Where the loss looks at the rows or the units of all clips, it copies them all.
- Only the batch's own arrays are written; what a clip lacks stays zero there, and `Batch.present` tells.
- The second clips of a step, where an objective needs them, are drawn from a generator of their own, so that all
  objectives see the same first clips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mcn.options.objectives import MODALITIES, Needs
from mcn.options.training import TrainingOptions
from mcn.shards.clips import maximum, rate_of, row_tokens, unit_length
from mcn.training.clips import Clip, Video, acceptable, draw_distinct_lines, draw_lines, rows_of
from mcn.training.steps import NO_STEP, step_of


class Widths(NamedTuple):
    """Widths of a clip's vectors: of each video feature, in the order of the clip vector, and of audio (0: none)."""

    video: list[int]
    audio: int
    log_mel: bool  # whether audio is log-mel frames or vectors


@dataclass(frozen=True)
class Batch:
    """N = videos * clips_per_video clips.

    held: of which clips pictures and sound are there, where that is not all: `video` and `audio` have those rows only.
    video (N, D) float32, or rows (N, F, D) float16; audio (N, frames, 40) float16 dB, zero-padded, (N, A) float32
    pooled vectors, or rows (N, F, A) float16; frames (N,) int64 valid rows of sound; words (N, W) int64 token ids, 0
    pads; present (N, 3) bool, in the order of `MODALITIES`; redrawn: clips drawn in vain. What only some objectives
    need: candidates (N, C, W) token ids, the clip's own text first, absent ones zero; units (N, U, D) float32, equal
    parts of the clip or its first rows; second: another clip for every clip; steps (N,) int64: the number of the
    annotated step that a clip shows, -1 for none; translations (N, L, W) token ids of what is said in each of the
    languages, 0 pads.
    """

    video: Tensor
    audio: Tensor
    frames: Tensor
    words: Tensor
    present: Tensor
    redrawn: int
    candidates: Tensor | None = None
    units: Tensor | None = None
    second: Batch | None = None
    steps: Tensor | None = None
    translations: Tensor | None = None
    held: slice | None = None

    def pin_memory(self) -> Batch:
        """In page-locked memory, for copies to a GPU that do not wait."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if isinstance(value, (Tensor, Batch)):
                values[name] = value.pin_memory()
        return Batch(**values)


class Collator:
    """Draws clips and writes them into the arrays of one batch of `size` clips; held: those of this process."""

    def __init__(
        self,
        size: int,
        widths: Widths,
        options: TrainingOptions,
        needs: Needs,
        held: slice | None = None,
    ) -> None:
        self.options, self.needs, self.redrawn = options, needs, 0
        self.rows = ClipArrays(size, widths, options, needs, held)
        self.second: ClipArrays | None = None
        if needs.second != "none":
            plain = needs._replace(candidates=1, visual_units=0, steps=False)
            self.second = ClipArrays(size, widths, options, plain, held)

    def add(self, video: Video, rng: np.random.Generator, second: np.random.Generator) -> None:
        """Draw `clips_per_video` clips of a video and append them; `second` draws their second clips."""
        if self.needs.windows == "random":
            clips = self._repeated(video.random_window, rng)
        elif self.options.sampling == "moments":
            clips = self._repeated(video.moment, rng)
        else:
            clips = self._around_lines(video, rng)
        for clip in clips:
            self.rows.append(clip, video)
            if self.second is not None:
                self.second.append(self._second(clip, video, second), video)

    def batch(self) -> Batch:
        """The finished batch."""
        batch = replace(self.rows.batch(), redrawn=self.redrawn)
        return batch if self.second is None else replace(batch, second=self.second.batch())

    def _repeated(
        self, draw: Callable[[np.random.Generator, TrainingOptions], Clip], rng: np.random.Generator
    ) -> list[Clip]:
        return [draw(rng, self.options) for _ in range(self.options.clips_per_video)]

    def _around_lines(self, video: Video, rng: np.random.Generator) -> list[Clip]:
        options = self.options
        clips: dict[int, Clip] = {}

        def accept(line: int) -> bool:
            if line not in clips:
                clips[line] = video.clip(line, options, self.needs.candidates)
            return acceptable(clips[line], self.needs.modalities, options.empty_clips)

        assert video.lines is not None
        draw = draw_lines if options.sampling == "with_replacement" else draw_distinct_lines
        lines, rejected = draw(rng, len(video.lines.starts), options.clips_per_video, accept)
        self.redrawn += rejected
        return [clips[line] for line in lines]

    def _second(self, clip: Clip, video: Video, rng: np.random.Generator) -> Clip:
        """Another clip of the same video: its window moved, or one around another acceptable line if there is one."""
        options, needs = self.options, self.needs
        if needs.second == "shift":
            return video.shifted(clip, rng, options, needs.shift_seconds)
        assert video.lines is not None
        found = clip
        for line in rng.permutation(len(video.lines.starts)).tolist():
            other = video.clip(line, options)
            if acceptable(other, needs.modalities, options.empty_clips):
                found = other
                if (other.start, other.end) != (clip.start, clip.end):
                    break
        return found


class ClipArrays:
    """Arrays of `size` clips, filled row by row; held: the clips whose pictures and sound are copied, None: all."""

    def __init__(
        self,
        size: int,
        widths: Widths,
        options: TrainingOptions,
        needs: Needs,
        held: slice | None = None,
    ) -> None:
        self.log_mel, self.row, self.held = widths.log_mel, 0, held
        self._kept = range(size)[held or slice(None)]
        self.video_rows: list[tuple[np.ndarray, ...]] | None = [] if "video" in needs.rows else None
        self.audio_rows: list[tuple[np.ndarray, ...]] | None = [] if "audio" in needs.rows else None
        self.widths = widths
        self.modalities, words = needs.modalities, options.max_words
        frames = (options.audio_frames,) if widths.log_mel else ()
        shape = (len(self._kept), *frames, widths.audio)
        self.audio = np.zeros(shape, np.float16 if widths.log_mel else np.float32)
        self.visual = [np.zeros((len(self._kept), width), np.float16) for width in widths.video]
        parts = (size, needs.visual_units)
        self.units_are_rows = needs.units_are_rows
        self.units = [np.zeros((*parts, width), np.float16) for width in widths.video]
        self.words = np.zeros((size, words), np.int64)
        self.candidates = np.zeros((size, needs.candidates, words), np.int64)
        self.frames = np.zeros(size, np.int64)
        self.present = np.zeros((size, len(MODALITIES)), bool)
        self.steps = np.full(size, NO_STEP) if needs.steps else None
        self.languages = needs.languages
        self.translations = np.zeros((size, len(needs.languages), words), np.int64)

    def append(self, clip: Clip, video: Video) -> None:
        """Write a clip of `video` into the next row."""
        row, length = self.row, len(clip.audio)
        if self.video_rows is not None:
            self.video_rows.append(clip.visual)
        if self.audio_rows is not None:
            self.audio_rows.append((clip.audio,))
        if row in self._kept:
            self._copy(row - self._kept.start, clip)
        if "text" in self.modalities:
            for text, words in enumerate([clip.words, *clip.candidates]):
                self.candidates[row, text, : len(words)] = words
            self.words[row, : len(clip.words)] = clip.words
        self.frames[row] = length
        self.present[row] = [clip.present[name] for name in MODALITIES]
        for said, language in zip(self.translations[row], self.languages, strict=True):
            words = video.words(clip.start, clip.end, language, len(said))
            said[: len(words)] = words
        if self.steps is not None:
            self.steps[row] = step_of(video.steps, clip.start, clip.end)
        self._append_units(clip, video)
        self.row += 1

    def _copy(self, place: int, clip: Clip) -> None:
        """Write pictures and sound of a clip of this process."""
        length = len(clip.audio)
        for pooled, rows in zip(self.visual, clip.visual, strict=True):
            if len(rows):
                pooled[place] = maximum(rows)
        if length and self.log_mel:
            self.audio[place, :length] = clip.audio
        elif length:
            self.audio[place] = clip.audio.mean(axis=0, dtype=np.float32)

    def _append_units(self, clip: Clip, video: Video) -> None:
        if self.units_are_rows:
            rates = [rate_of(one) if one else 0.0 for one in video.visual]
            tokens = row_tokens(clip.visual, rates, self.units[0].shape[1]) if self.units else []
            for parts, rows in zip(self.units, tokens, strict=True):
                if len(rows):
                    parts[self.row, : len(rows)] = rows
            return
        for pooled, sequence in zip(self.units, video.visual, strict=True):
            parts = pooled[self.row]
            edges = np.linspace(clip.start, clip.end, len(parts) + 1).tolist()
            for part, (start, end) in zip(parts, pairwise(edges), strict=True):
                rows = rows_of(sequence, start, end)
                if len(rows):
                    part[:] = maximum(rows)

    def batch(self) -> Batch:
        """The arrays as tensors."""
        several = self.candidates.shape[1] > 1
        parts = self.units[0].shape[1] if self.units else 0
        video = _concatenated(self.visual) if self.visual else torch.zeros(len(self._kept), 0)
        audio = torch.from_numpy(self.audio)
        if self.video_rows is not None:
            video = padded_rows(self.video_rows, self.widths.video)
        if self.audio_rows is not None:
            audio = padded_rows(self.audio_rows, [self.widths.audio])
        return Batch(
            video,
            audio,
            torch.from_numpy(self.frames),
            torch.from_numpy(self.words),
            torch.from_numpy(self.present),
            redrawn=0,
            candidates=torch.from_numpy(self.candidates) if several else None,
            units=_concatenated(self.units) if parts else None,
            steps=None if self.steps is None else torch.from_numpy(self.steps),
            translations=torch.from_numpy(self.translations) if self.languages else None,
            held=self.held,
        )


def padded_rows(clips: list[tuple[np.ndarray, ...]], widths: list[int]) -> Tensor:
    """Rows (n, D) of each clip and feature -> (N, F, sum of D) float16, zero rows behind the last; F >= 1."""
    longest = max((len(rows) for clip in clips for rows in clip), default=0)
    padded = np.zeros((len(clips), max(1, longest), sum(widths)), np.float16)
    for row, clip in zip(padded, clips, strict=True):
        first = 0
        for rows, width in zip(clip, widths, strict=True):
            if len(rows):
                row[: len(rows), first : first + width] = rows
            first += width
    return torch.from_numpy(padded)


def _concatenated(visual: list[np.ndarray]) -> Tensor:
    """Features of each stream, L2-normalised, side by side in float32."""
    # PyTorch widens float16 15 times faster than numpy
    wide = [torch.from_numpy(rows).float().numpy() for rows in visual]
    return torch.from_numpy(np.concatenate([unit_length(rows) for rows in wide], axis=-1))
