"""From drawn narration lines to the tensors of one batch.

Conventions
-----------
- Clips of one video are neighbours in the batch: row = video * clips_per_video + clip.
- A clip's rows are views of its video's features; only the batch's own arrays are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mcn.clips import (
    extend_window,
    maximum,
    mel_rows,
    rate_of,
    rows_between,
    unit_length,
    values_of,
    window_of,
    words_of,
)
from mcn.mapped import Lines
from mcn.sampling import draw_distinct_lines, draw_lines
from mcn.shards import FeatureSequence
from mcn.training_options import TrainingOptions

VISUAL = ("resnet152", "resnext101")  # in the order of the clip vector
FRAME_SECONDS = 0.01


@dataclass(frozen=True)
class Batch:
    """N = videos * clips_per_video clips.

    video (N, D) float32; audio (N, frames, 40) float16 dB, zero-padded, or (N, A) float32 pooled vectors; frames (N,)
    int64 valid log-mel frames; words (N, W) int64 token ids, 0 pads; redrawn: lines drawn in vain.
    """

    video: Tensor
    audio: Tensor
    frames: Tensor
    words: Tensor
    redrawn: int

    def pin_memory(self) -> Batch:
        """In page-locked memory, for copies to a GPU that do not wait."""
        return Batch(
            self.video.pin_memory(),
            self.audio.pin_memory(),
            self.frames.pin_memory(),
            self.words.pin_memory(),
            self.redrawn,
        )


class Clip(NamedTuple):
    """Rows of every stream that lie in a clip, and its words."""

    visual: tuple[np.ndarray, ...]
    audio: np.ndarray
    words: list[int]

    @property
    def complete(self) -> bool:
        """Whether there is a word and a row of every stream."""
        return bool(self.words and len(self.audio) and all(map(len, self.visual)))


@dataclass(frozen=True)
class Video:
    """One video's streams; `log_mel` tells whether `audio` holds log-mel frames or network vectors."""

    visual: tuple[FeatureSequence, ...]  # in the order of `VISUAL`
    audio: FeatureSequence
    log_mel: bool
    lines: Lines

    def clip(self, line: int, options: TrainingOptions) -> Clip:
        """The clip grown around a narration line, its sound no longer than `audio_frames` log-mel frames last."""
        starts, ends, tokens = self.lines
        joined = extend_window(starts, ends, line, options.min_clip_seconds)
        start, end = window_of(starts, ends, joined)
        return Clip(
            tuple(rows_of(sequence, start, end) for sequence in self.visual),
            self._audio_rows(start, end, options.audio_frames),
            words_of(joined, tokens, options.max_words),
        )

    def _audio_rows(self, start: float, end: float, frames: int) -> np.ndarray:
        if not self.log_mel:
            return rows_of(self.audio, start, min(end, start + frames * FRAME_SECONDS))
        first = self.audio.start_seconds
        return mel_rows(values_of(self.audio), start - first, end - first, frames)


def rows_of(sequence: FeatureSequence, start: float, end: float) -> np.ndarray:
    """The rows of a sequence between two times."""
    values, first = values_of(sequence), sequence.start_seconds
    return values[rows_between(start - first, end - first, rate_of(sequence), len(values))]


class Collator:
    """Draws clips and writes them into the arrays of one batch of `size` clips.

    widths: of the features by name, `audio` among them; log_mel: whether audio is log-mel frames or vectors.
    """

    def __init__(
        self, size: int, widths: Mapping[str, int], options: TrainingOptions, log_mel: bool
    ) -> None:
        self.options, self.log_mel, self.row, self.redrawn = options, log_mel, 0, 0
        audio = widths["audio"]
        shape = (size, options.audio_frames, audio) if log_mel else (size, audio)
        self.audio = np.zeros(shape, np.float16 if log_mel else np.float32)
        self.visual = [np.zeros((size, widths[name]), np.float16) for name in VISUAL]
        self.words = np.zeros((size, options.max_words), np.int64)
        self.frames = np.zeros(size, np.int64)

    def add(self, video: Video, rng: np.random.Generator) -> None:
        """Draw `clips_per_video` clips of a video and append them."""
        options = self.options
        clips: dict[int, Clip] = {}

        def accept(line: int) -> bool:
            if line not in clips:
                clips[line] = video.clip(line, options)
            return options.empty_clips == "keep" or clips[line].complete

        draw = draw_lines if options.sampling == "with_replacement" else draw_distinct_lines
        lines, rejected = draw(rng, len(video.lines.starts), options.clips_per_video, accept)
        self.redrawn += rejected
        for line in lines:
            self._append(clips[line])

    def _append(self, clip: Clip) -> None:
        row, length = self.row, len(clip.audio)
        for pooled, rows in zip(self.visual, clip.visual, strict=True):
            pooled[row] = maximum(rows)
        self.words[row, : len(clip.words)] = clip.words
        self.frames[row] = length
        if self.log_mel:
            self.audio[row, :length] = clip.audio
        elif length:
            self.audio[row] = clip.audio.mean(axis=0, dtype=np.float32)
        self.row += 1

    def batch(self) -> Batch:
        """The finished batch."""
        # PyTorch widens float16 15 times faster than numpy
        pooled = [torch.from_numpy(rows).float().numpy() for rows in self.visual]
        visual = np.concatenate([unit_length(rows) for rows in pooled], axis=1)
        return Batch(
            torch.from_numpy(visual),
            torch.from_numpy(self.audio),
            torch.from_numpy(self.frames),
            torch.from_numpy(self.words),
            self.redrawn,
        )
