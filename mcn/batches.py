"""Training batches: which videos are used, which clips are drawn of them, and their tensors.

Conventions
-----------
- A video is used when its status is ok in every stream that the model reads and at least one narration line with an
  in-vocabulary word lies inside them; every other video is in `TrainingSet.excluded` with its reason.
- What step `step` of epoch `epoch` sees depends on (seed, epoch, step), the options and the data alone, not on
  worker processes or on earlier steps: a resumed run draws what an undisturbed one would have drawn.
- Clips of one video are neighbours in the batch: row = video * clips_per_video + clip.
- The released loader (MCN youtube_dataloader.py) draws lines with replacement, keeps clips without words or features
  as zero vectors and, on old PyTorch, gave all workers the same random numbers; the first two are options here.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mcn.clips import (
    clip_features,
    extend_window,
    mel_rows,
    rate_of,
    rows_between,
    values_of,
    window_of,
    words_of,
)
from mcn.errors import UserError
from mcn.mapped import Lines, MappedFeatures, Narration
from mcn.sampling import batch_size, draw_distinct_lines, draw_lines, videos_of_step
from mcn.shards import FeatureSequence
from mcn.training_options import TrainingOptions

logger = logging.getLogger(__name__)

FRAME_SECONDS = 0.01
SHORTEST_OVERLAP_SECONDS = 0.05  # a line inside the streams by this much has a row of each


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
    """A window of one video and its words."""

    start: float
    end: float
    words: list[int]


@dataclass(frozen=True)
class Video:
    """One video's streams; `log_mel` tells whether `audio` holds log-mel frames or network vectors."""

    resnet152: FeatureSequence
    resnext101: FeatureSequence
    audio: FeatureSequence
    log_mel: bool
    lines: Lines

    def clip(self, line: int, options: TrainingOptions) -> Clip:
        """The clip grown around a narration line."""
        starts, ends, tokens = self.lines
        joined = extend_window(starts, ends, line, options.min_clip_seconds)
        return Clip(*window_of(starts, ends, joined), words_of(joined, tokens, options.max_words))

    def usable(self, clip: Clip, frames: int) -> bool:
        """Whether a clip has a word, a row of each visual feature and a row of audio."""
        return bool(
            clip.words
            and all(_rows(one, clip) for one in (self.resnet152, self.resnext101))
            and len(self.audio_rows(clip, frames))
        )

    def audio_rows(self, clip: Clip, frames: int) -> np.ndarray:
        """Rows of the audio stream in the clip, no more than `frames` log-mel frames last."""
        values, start = values_of(self.audio), clip.start - self.audio.start_seconds
        end = clip.end - self.audio.start_seconds
        if self.log_mel:
            return mel_rows(values, start, end, frames)
        end = min(end, start + frames * FRAME_SECONDS)
        return values[rows_between(start, end, rate_of(self.audio), len(values))]


def _rows(sequence: FeatureSequence, clip: Clip) -> int:
    start, end = clip.start - sequence.start_seconds, clip.end - sequence.start_seconds
    length = len(values_of(sequence))
    return len(range(length)[rows_between(start, end, rate_of(sequence), length)])


class TrainingSet:
    """Feature and text shards as batches.

    stores: paths of the shards of `resnet152`, `resnext101`, `audio` (log-mel, or davenet where `log_mel` is false)
    and `word2vec`. `videos`: ids used, in order of id; `excluded`: id -> reason. Nothing usable: `UserError`.
    """

    def __init__(
        self, stores: Mapping[str, Sequence[Path]], options: TrainingOptions, log_mel: bool
    ) -> None:
        self.options, self.log_mel = options, log_mel
        self.features = {
            name: MappedFeatures(stores[name]) for name in ("resnet152", "resnext101", "audio")
        }
        self.narration = Narration(stores["word2vec"])
        self.videos, self.excluded = select_videos(self.features, self.narration)
        for reason, count in sorted(Counter(self.excluded.values()).items()):
            logger.warning("%d videos are not trained on: %s", count, reason)
        if not self.videos:
            counts = ", ".join(f"{n} {why}" for why, n in Counter(self.excluded.values()).items())
            raise UserError(
                f"no video to train on ({counts or 'the shards are empty'})",
                "videos with pictures, sound and narration with known words",
                "give the manifest a narration column, or mend what the ledger names",
            )
        self.batch_videos = batch_size(len(self.videos), options)
        self.steps_per_epoch = max(1, len(self.videos) // self.batch_videos)

    @property
    def video_width(self) -> int:
        """Width of the visual clip vector."""
        return self.features["resnet152"].width + self.features["resnext101"].width

    @property
    def fingerprint(self) -> dict[str, str]:
        """What identifies the content of every stream."""
        streams = {name: store.fingerprint for name, store in self.features.items()}
        return {**streams, "word2vec": self.narration.fingerprint}

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch of a step; both count from 0."""
        options = self.options
        order = videos_of_step(len(self.videos), self.batch_videos, options.seed, epoch, step)
        rng = np.random.default_rng([options.seed, epoch, 1 + step])
        collator = Collator(self, len(order) * options.clips_per_video)
        for index in order:
            collator.add(self._video(self.videos[index]), rng)
        return collator.batch()

    def _video(self, video_id: str) -> Video:
        return Video(
            self.features["resnet152"][video_id],
            self.features["resnext101"][video_id],
            self.features["audio"][video_id],
            self.log_mel,
            self.narration[video_id],
        )


class Collator:
    """Draws clips and writes them into the arrays of one batch of `size` clips."""

    def __init__(self, training_set: TrainingSet, size: int) -> None:
        options, audio = training_set.options, training_set.features["audio"].width
        self.options, self.log_mel, self.row, self.redrawn = options, training_set.log_mel, 0, 0
        shape = (size, options.audio_frames, audio) if self.log_mel else (size, audio)
        self.audio = np.zeros(shape, np.float16 if self.log_mel else np.float32)
        self.video = np.zeros((size, training_set.video_width), np.float32)
        self.words = np.zeros((size, options.max_words), np.int64)
        self.frames = np.zeros(size, np.int64)

    def add(self, video: Video, rng: np.random.Generator) -> None:
        """Draw `clips_per_video` clips of a video and append them."""
        options = self.options
        clips: dict[int, Clip] = {}

        def accept(line: int) -> bool:
            if line not in clips:
                clips[line] = video.clip(line, options)
            if options.empty_clips == "keep":
                return True
            return video.usable(clips[line], options.audio_frames)

        draw = draw_lines if options.sampling == "with_replacement" else draw_distinct_lines
        lines, rejected = draw(rng, len(video.lines.starts), options.clips_per_video, accept)
        self.redrawn += rejected
        for line in lines:
            self._append(video, clips[line])

    def _append(self, video: Video, clip: Clip) -> None:
        row, rows = self.row, video.audio_rows(clip, self.options.audio_frames)
        self.video[row] = clip_features(video.resnet152, video.resnext101, clip.start, clip.end)
        self.words[row, : len(clip.words)] = clip.words
        self.frames[row] = len(rows)
        if self.log_mel:
            self.audio[row, : len(rows)] = rows
        elif len(rows):
            self.audio[row] = rows.mean(axis=0, dtype=np.float32)
        self.row += 1

    def batch(self) -> Batch:
        """The finished batch."""
        return Batch(
            torch.from_numpy(self.video),
            torch.from_numpy(self.audio),
            torch.from_numpy(self.frames),
            torch.from_numpy(self.words),
            self.redrawn,
        )


def select_videos(
    features: Mapping[str, MappedFeatures], narration: Narration
) -> tuple[list[str], dict[str, str]]:
    """Ids of the videos that can be trained on, and the reason for every other one, ids sorted."""
    known = sorted({*narration.status}.union(*features.values()))
    excluded = {}
    for video_id in known:
        reason = _exclusion(video_id, features, narration)
        if reason:
            excluded[video_id] = reason
    return [video_id for video_id in known if video_id not in excluded], excluded


def _exclusion(
    video_id: str, features: Mapping[str, MappedFeatures], narration: Narration
) -> str | None:
    streams: dict[str, MappedFeatures | Narration] = {**features, "word2vec": narration}
    for name, store in streams.items():
        status = store.status.get(video_id, "no row in the shards")
        if status != "ok":
            return f"{name} {status} ({store.errors.get(video_id, '').partition(':')[0] or '-'})"
    spans = [store.span(video_id) for store in features.values()]
    start, end = max(span[0] for span in spans), min(span[1] for span in spans)
    starts, ends, tokens = narration[video_id]
    for line in range(len(starts)):
        overlap = min(ends[line], end) - max(starts[line], start)
        if overlap >= SHORTEST_OVERLAP_SECONDS and tokens[line]:
            return None
    return "no narration line with a known word lies inside pictures and sound"
