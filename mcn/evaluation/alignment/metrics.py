"""Every annotated video aligned with its transcript, by mode, and how well.

Conventions
-----------
- Second t and class c of the video's class list: score = text_c . embedding_t, un-normalised; background without a text
  scores as `AlignmentOptions.background_score` says. Log-softmax over all classes of the list, background included,
  makes them log-probabilities (MCN eval_cross.py writes these for Mining YouTube). It subtracts the same from every
  class of a second and so leaves the best path where it is.
- `recall`: the one-second programme of step localization on the transcript's items that are not background, with
  log-softmax over their classes alone; hits / items. This is how Mining YouTube's recall seems to have been made.
- Under `programme: poisson` a second's log-probabilities are repeated for its frames, and the path is that of
  `mcn.evaluation.alignment.poisson`; a video through which it finds no path is lost.
- A video's scores are those of `alignment.evaluate` and its recall; a lost video scores 0 in all of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from mcn.evaluation.alignment import programme as alignment
from mcn.evaluation.alignment.poisson import align_poisson
from mcn.evaluation.alignment.probabilities import frames_of_seconds, write_probabilities
from mcn.evaluation.alignment.transcripts import ClassList, Transcript
from mcn.evaluation.annotations import AnnotatedVideo
from mcn.evaluation.embed import EvaluatedModel
from mcn.evaluation.localization.metrics import decode_steps, hit_steps, log_softmax
from mcn.evaluation.scores import undefined_as_none
from mcn.evaluation.seconds import SecondScorer, Summary
from mcn.options.evaluation import AlignmentOptions

TOO_SHORT = "video: shorter_than_transcript"
NO_PATH = "video: no_path_through_it"
NAMES = (
    *(f"{name}{variant}" for variant in alignment.VARIANTS for name in ("IoD", "IoU")),
    *("frame_accuracy", "frame_accuracy_with_background", "recall"),
)


class NoPathError(ValueError):
    """No path leads through a video under the limits of the programme."""


@dataclass(frozen=True)
class AlignedVideo:
    """Scores and chance of one video, percent by name; `path`: items, `rate` a second, from `start` on."""

    transcript: Transcript
    start: float
    path: np.ndarray
    rate: float
    scores: dict[str, float]
    chance: dict[str, float]


@dataclass
class AlignmentOutcome:
    """One mode: videos aligned, and the groups of those `lost` that count as mistakes."""

    videos: list[AlignedVideo] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def summary(self, group: str | None = None) -> Summary:
        """`scores` and `chance`: means over videos, lost ones being 0, with n and total; of one group, or of all."""
        videos = [one for one in self.videos if group in (None, one.transcript.group)]
        lost = sum(group in (None, one) for one in self.lost)
        found: Summary = {}
        for kind in ("scores", "chance"):
            rows = [getattr(video, kind) for video in videos]
            means = {name: _mean([row[name] for row in rows], lost) for name in NAMES}
            counts = {"n": len(videos), "total": len(videos) + lost}
            found[kind] = {**undefined_as_none(means), **counts}
        return found

    def groups(self) -> dict[str, dict[str, Any]]:
        """Scores of every group that has a name."""
        names = {one.transcript.group for one in self.videos} | set(self.lost)
        return {name: self.summary(name)["scores"] for name in sorted(names - {""})}


def _mean(values: Sequence[float], lost: int) -> float:
    """Mean over what is defined and `lost` zeros; NaN of nothing."""
    defined = [value for value in values if not np.isnan(value)]
    return sum(defined) / (len(defined) + lost) if defined or lost else float("nan")


class AlignmentScorer(SecondScorer):
    """Aligns videos with a model; lists: group -> classes.

    Where `EvaluatedModel.exports` names folders, each video's headline log-probabilities are written there as text,
    `VIDEO.probs`: `seconds` as MCN eval_cross.py does, `frames` for Mining YouTube's own aligner
    (`mcn.evaluation.alignment.probabilities`).
    """

    options: AlignmentOptions

    def __init__(self, given: EvaluatedModel, lists: Mapping[str, ClassList]) -> None:
        super().__init__(given)
        self.lists = lists

    def score(self, transcripts: Sequence[Transcript]) -> dict[str, AlignmentOutcome]:
        """Every mode's outcome on all videos."""
        outcomes = {mode: AlignmentOutcome() for mode in self.modes}
        texts = {group: self._embed(group) for group in sorted({one.group for one in transcripts})}
        for transcript in tqdm(transcripts, desc="alignment", unit="video", disable=None):
            self._score_video(transcript, texts[transcript.group], outcomes)
        return outcomes

    def _embed(self, group: str) -> np.ndarray:
        """(C, d) text embeddings; zeros for background without a text."""
        listed = self.lists[group]
        found, silent = self.given.embed_text(listed.texts), _silent(listed)
        self.missing.update(
            reason for one, reason in enumerate(found.reasons) if reason and one not in silent
        )
        return found.vectors

    def _score_video(
        self,
        transcript: Transcript,
        texts: np.ndarray,
        outcomes: Mapping[str, AlignmentOutcome],
    ) -> None:
        found = transcript.problem or self.embed(transcript.video_id)
        if not isinstance(found, str):
            transcript = transcript.until(found.start + found.seconds)
            if found.seconds < len(transcript.classes):
                found = TOO_SHORT
        if isinstance(found, str):
            self.missing[found] += 1
            self._lose(transcript, outcomes.values())
            return
        listed = self.lists[transcript.group]
        for mode, raw in self.scores(found, texts):
            if isinstance(raw, str):
                self._lose(transcript, [outcomes[mode]])
                continue
            scores = fill_background(raw, listed, self.options)
            if mode == self.headline:
                self._export(transcript.video_id, scores)
            try:
                video = align_video(
                    transcript, scores, listed.background, found.start, self.options
                )
            except NoPathError:
                self.missing[NO_PATH] += mode == self.headline
                self._lose(transcript, [outcomes[mode]])
            else:
                outcomes[mode].videos.append(video)

    def _export(self, video_id: str, scores: np.ndarray) -> None:
        for rows, folder in self.given.exports.items():
            values = log_softmax(scores)
            if rows == "frames":
                values = frames_of_seconds(values, self.options.frames_per_second)
            write_probabilities(folder / f"{video_id}.probs", values)

    def _lose(self, transcript: Transcript, outcomes: Iterable[AlignmentOutcome]) -> None:
        """Note a video that cannot be aligned; under `drop` it leaves the denominator."""
        if self.options.missing_modality != "drop":
            for outcome in outcomes:
                outcome.lost.append(transcript.group)


def _silent(listed: ClassList) -> list[int]:
    """Background classes without a text."""
    return [one for one in sorted(listed.background) if not listed.texts[one]]


def fill_background(scores: np.ndarray, listed: ClassList, options: AlignmentOptions) -> np.ndarray:
    """Scores (T, C) with those of background without a text as the options say."""
    silent, filled = _silent(listed), scores.copy()
    others = np.delete(scores, silent, axis=1)
    if silent and options.background_score == "mean":
        filled[:, silent] = others.mean(axis=1, keepdims=True)
    elif silent:
        filled[:, silent] = options.background_constant
    return filled


def align_video(
    transcript: Transcript,
    scores: np.ndarray,
    background: frozenset[int],
    start: float,
    options: AlignmentOptions,
) -> AlignedVideo:
    """Scores and chance of one video from raw scores (T, C), second 0 at `start`; T not below the transcript's N.

    Errors: `NoPathError` where the programme finds no path.
    """
    measure = _Measure(transcript, len(scores), background, start, options.frame_seconds)
    path, rate = best_path(scores, transcript.classes, options)
    found = measure(scores, path, rate)
    generator = np.random.default_rng([options.seed, zlib.crc32(transcript.video_id.encode())])
    draws = []
    for _ in range(options.chance_draws):
        random = generator.standard_normal(scores.shape)
        draws.append(measure(random, *best_path(random, transcript.classes, options)))
    chance = {name: float(np.mean([draw[name] for draw in draws])) for name in found}
    return AlignedVideo(transcript, start, path, rate, found, chance)


def best_path(
    scores: np.ndarray, transcript: np.ndarray, options: AlignmentOptions
) -> tuple[np.ndarray, float]:
    """Items of the best path by the programme of the options, and how many of them a second has.

    scores: raw, (seconds, C). Errors: `NoPathError` where there is no path.
    """
    if options.programme == "exact":
        return alignment.align_items(scores, transcript), 1.0
    frames = frames_of_seconds(log_softmax(scores), options.frames_per_second)
    try:
        found = align_poisson(
            frames,
            transcript,
            options.mean_length,
            options.frame_sampling,
            longest=options.longest,
        )
    except ValueError as error:
        raise NoPathError(str(error)) from error
    return found.items, options.frames_per_second


class _Measure:
    """How well scores (T, C), or their path (T,), align one video; what does not depend on them is computed once."""

    def __init__(
        self,
        transcript: Transcript,
        seconds: int,
        background: frozenset[int],
        start: float,
        frame_seconds: float,
    ) -> None:
        self.classes, self.background = transcript.classes, background
        self.truth = transcript.frames(start, seconds, frame_seconds)
        self.times = (np.arange(len(self.truth)) + 0.5) * frame_seconds
        self.items = np.flatnonzero(~np.isin(self.classes, list(background)))
        steps = [(n, *transcript.spans[item]) for n, item in enumerate(self.items)]
        named = AnnotatedVideo(transcript.video_id, transcript.group, steps)
        self.steps = named.truth(start, seconds, len(self.items))

    def __call__(self, scores: np.ndarray, path: np.ndarray, rate: float) -> dict[str, float]:
        places = (self.times * rate).astype(np.int64)
        predicted = np.append(path, -1)[np.minimum(places, len(path))]
        found = alignment.evaluate(self.truth, predicted, self.classes, self.background)
        own, column = np.unique(self.classes[self.items], return_inverse=True)
        placed = decode_steps(log_softmax(scores[:, own])[:, column])
        found["recall"] = 100 * hit_steps(self.steps, placed) / len(self.items)
        return found
