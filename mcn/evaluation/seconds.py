"""The seconds of a video in a model's space, scored against texts: what localization and alignment share.

Conventions
-----------
- Second i is [start + i, start + i + 1), `start` being the time of the first feature row; T is the number of seconds
  that the first visual feature covers, or that were annotated, where that is given (MCN cvpr19_dataloader.py). Where
  the two differ by more than `SAME_VIDEO`, they are not of one video, and it is not scored: `other_length`.
- Every visual feature is adaptively max-pooled to T rows, each L2-normalised, then they are concatenated (MCN
  cvpr19_dataloader.py).
- A network that takes frames (`EmbeddingNetwork.takes_frames`) embeds the rows of each second as a clip. One of rows
  (`units_are_rows`) does so too, with `token_radius_seconds` on both sides, and hears the same stretch.
- The sound of a second is a window around its beginning, [t - w/2, t + w/2], moved inwards at the ends of the video.
- Modes: v scores a second's visual embedding, a that of the sound around it, va their un-normalised sum, by dot
  products with the texts' embeddings; va of a network that joins is the embedding of both at once. A mode that a
  video cannot be scored in is the reason why, `modality: code`; under `video_only` va is then v.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F

from mcn.errors import UserError
from mcn.evaluation.annotations import Moment
from mcn.evaluation.embed import EvaluatedModel
from mcn.evaluation.inputs import absence
from mcn.evaluation.scores import dot_products
from mcn.options.evaluation import SecondsOptions
from mcn.shards import FeatureSequence
from mcn.shards.clips import values_of

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
SAME_VIDEO = 0.1  # of the length: what annotation and features of one video may differ by
LEAST_SECONDS = 3.0  # that they may differ by in any case
JUST_BELOW_A_SECOND = 1 - 1e-6  # a clip holds the row that its end lies in
Summary = dict[str, dict[str, float | None]]  # scores and chance


@dataclass(frozen=True)
class SecondEmbeddings:
    """One video: `seconds` T from `start`; `modes`: mode -> (T, d) float32, or why there are none."""

    start: float
    seconds: int
    modes: Mapping[str, np.ndarray | str]


class SecondScorer:
    """Scores the seconds of videos; `missing` counts what could not be used, by reason.

    modes: those that the model embeds; headline: the one that the options name, or v where the model hears nothing.
    """

    def __init__(self, given: EvaluatedModel) -> None:
        assert isinstance(given.options, SecondsOptions)
        self.given, self.options = given, given.options
        self.modes = ("v", "a", "va") if "a" in given.letters else ("v",)
        self.headline: str = self.options.score_mode
        if self.headline not in self.modes:
            logger.warning("score_mode v, not %s: the model has no audio branch", self.headline)
            self.headline = "v"
        self.missing: Counter[str] = Counter()

    def embed(self, video_id: str, seconds: int | None = None) -> SecondEmbeddings | str:
        """All modes of a video, of `seconds` if they are given; or why there are none."""
        found = self._visual(video_id, seconds)
        if isinstance(found, str):
            return found
        visual, start = found
        return SecondEmbeddings(start, len(visual), self._modes(video_id, visual, start))

    def _visual(self, video_id: str, wanted: int | None = None) -> tuple[np.ndarray, float] | str:
        """Visual embeddings (T, d) of the seconds of a video, and the time of the first; or why there are none."""
        model = self.given.model
        if not (model.takes_frames or model.units_are_rows):
            found = second_features(self.given, video_id, wanted)
            return (
                found if isinstance(found, str) else (self.given.embed_features(found[0]), found[1])
            )
        first = self.given.stores[self.given.inputs.video[0]][video_id]
        if first.values is None:
            return absence("video", first)
        start, seconds = first.start_seconds, seconds_of(first, wanted)
        if isinstance(seconds, str):
            return seconds
        windows = self._windows(video_id, start, seconds)
        embedded = self.given.embed_video(windows)
        absent = next((reason for reason in embedded.reasons if reason), "")
        return absent or (embedded.vectors, start)

    def _windows(self, video_id: str, start: float, seconds: int) -> list[Moment]:
        """What a network of frames or rows sees of each second."""
        if self.given.model.takes_frames:
            spans = [(second, second + JUST_BELOW_A_SECOND) for second in range(seconds)]
        else:
            radius = self.options.token_radius_seconds
            spans = [
                (max(0, second - radius), min(second + radius + 1, seconds))
                for second in range(seconds)
            ]
        return [Moment(video_id, start + first, start + last) for first, last in spans]

    def scores(
        self, found: SecondEmbeddings, texts: np.ndarray
    ) -> Iterator[tuple[str, np.ndarray | str]]:
        """Mode by mode: float64 scores (T, C) with the embeddings (C, d) of texts, or why there are none."""
        for mode, seconds in found.modes.items():
            if isinstance(seconds, str):
                self.missing[seconds] += mode == "a"  # counted once, not again for va
                yield mode, seconds
            else:
                yield mode, dot_products(seconds, texts).astype(np.float64)

    def _modes(
        self, video_id: str, visual: np.ndarray, start: float
    ) -> dict[str, np.ndarray | str]:
        options = self.options
        if "a" not in self.modes:
            return {"v": visual}
        if self.given.model.units_are_rows:
            windows = self._windows(video_id, start, len(visual))
        else:
            windows = second_windows(video_id, start, len(visual), options.audio_window_seconds)
        audio = self.given.embed_audio(windows, options.audio_frames)
        absent = next((reason for reason in audio.reasons if reason), "")
        if not absent:
            both = visual + audio.vectors
            if self.given.model.joins:
                both = self.given.embed_joined(
                    "va", windows, audio_frames=options.audio_frames
                ).vectors
            return {"v": visual, "a": audio.vectors, "va": both}
        alone = visual if options.missing_modality == "video_only" else absent
        return {"v": visual, "a": absent, "va": alone}

    def result(self, measured: Mapping[str, Summary], repeated: Iterable[str]) -> dict[str, Any]:
        """What both evaluations write of each mode's summary: the headline's numbers at the top, all below `modes`.

        repeated: the scores that are given for every mode beside the headline's.
        """
        first = measured[self.headline]
        return {
            "n": first["scores"]["n"],
            "total": first["scores"]["total"],
            **{
                kind: {
                    **first[kind],
                    **{
                        f"{name} ({mode})": found[kind][name]
                        for mode, found in measured.items()
                        for name in repeated
                    },
                }
                for kind in ("scores", "chance")
            },
            "modes": dict(measured),
            "missing": dict(sorted(self.missing.items())),
        }


def drawn(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    """At most `count` items drawn at random, in their order."""
    generator = np.random.default_rng(seed)
    chosen = generator.choice(len(items), min(count, len(items)), replace=False)
    return [items[number] for number in np.sort(chosen)]


def second_features(
    given: EvaluatedModel, video_id: str, wanted: int | None = None
) -> tuple[np.ndarray, float] | str:
    """Features (T, D) float32 of one video, one row a second, and the time of its first; or the reason why not.

    wanted: T; None: as many as the first feature covers.
    """
    names = given.inputs.video
    sequences = [given.stores[name][video_id] for name in names]
    for sequence in sequences:
        if sequence.values is None:
            return absence("video", sequence)
    starts = [sequence.start_seconds for sequence in sequences]
    if max(starts) - min(starts) > 0.5:
        raise UserError(
            f"{video_id}: {', '.join(names)} start at {starts} s",
            "features of one clock",
            "extract them from the same decoding",
        )
    seconds = seconds_of(sequences[0], wanted)
    if isinstance(seconds, str):
        return seconds
    pooled = [
        F.normalize(
            F.adaptive_max_pool1d(torch.tensor(values_of(one).T, dtype=torch.float32), seconds).T
        )
        for one in sequences
    ]
    return torch.cat(pooled, dim=1).numpy(), starts[0]


def seconds_of(sequence: FeatureSequence, wanted: int | None = None) -> int | str:
    """How many seconds the rows of a feature cover, 1 at least; `wanted` if that is of one video, or why it is not."""
    covered = len(values_of(sequence)) * sequence.step_seconds
    if wanted is None:
        return max(1, round(covered))
    of_one = abs(wanted - covered) <= max(LEAST_SECONDS, SAME_VIDEO * covered)
    return wanted if of_one else "video: other_length"


def second_windows(video_id: str, start: float, seconds: int, width: float) -> list[Moment]:
    """The stretch of sound of every second, `width` seconds long or as long as the video."""
    last = start + max(0.0, seconds - width)
    begins = np.clip(start + np.arange(seconds) - width / 2, start, last)
    return [Moment(video_id, float(begin), float(begin + min(width, seconds))) for begin in begins]
