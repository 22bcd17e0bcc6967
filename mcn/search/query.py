"""Search a data set's videos for a text, an answer being a moment: video, from, to, score.

Conventions
-----------
- The gallery is every video of the set cut into windows of `window_seconds`, each starting half a window after the
  one before. The score of a window is text . (video + audio), or text . video where it has no sound, so that silent
  videos are found too.
- A video's overlapping windows are one answer: only its best window of each stretch is listed.
- The query's words are looked up in the word vectors themselves, so that any word they know may be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcn.errors import UserError
from mcn.evaluation.annotations import Moment, Vocabulary
from mcn.evaluation.embed import EvaluatedModel
from mcn.features.text import build_vocabulary
from mcn.features.vectors import load_vectors
from mcn.layout import Dataset
from mcn.options.encoders import TextOptions, path_of
from mcn.options.evaluation import RetrievalOptions


@dataclass(frozen=True)
class Answer:
    """A moment and its score, higher is better."""

    moment: Moment
    score: float


def search(
    model_directory: Path,
    dataset: Dataset,
    query: str,
    text: TextOptions,
    options: RetrievalOptions,
    window_seconds: float = 4.0,
    limit: int = 10,
) -> list[Answer]:
    """The `limit` best moments of a data set for a text, best first.

    Errors: `UserError` where no word of the query has a vector, or no video of the set has features.
    """
    words = _vocabulary(query, text)
    given = EvaluatedModel.load(model_directory, dataset, (), options, "cpu", words=words)
    asked = given.embed_text([query])
    if not asked.present[0]:
        cure = "use other words, or `features.word2vec.case: lower` with lower-case vectors"
        raise UserError(f"no word of {query!r} has a vector in {text.vectors}", "known words", cure)
    windows = _windows(given, window_seconds)
    parts = [given.embed_video(windows)] if "v" in given.letters else []
    if "a" in given.letters:
        parts.append(given.embed_audio(windows, round(100 * window_seconds)))  # frames of 10 ms
    # zero where a window lacks a modality
    scores = np.sum([part.vectors @ asked.vectors[0] for part in parts], axis=0)
    present = parts[0].present
    order = np.argsort(-scores, kind="stable")
    return _distinct([Answer(windows[i], float(scores[i])) for i in order if present[i]], limit)


def _vocabulary(query: str, options: TextOptions) -> Vocabulary:
    if options.vectors is None:
        got = "a text feature without vectors"
        raise UserError(got, "the vectors that the model learned with", "give them: --options")
    vectors, _ = load_vectors(path_of(options.vectors), options.cache)
    tokens, rows = build_vocabulary([query], vectors, options.case)
    return Vocabulary({token: row for row, token in enumerate(tokens)}, rows)


def _windows(given: EvaluatedModel, seconds: float) -> list[Moment]:
    windows, store = [], next(iter(given.stores.values()))
    for video_id in sorted(store):
        sequence = store[video_id]
        if sequence.values is None:
            continue
        length = len(sequence.values) * sequence.step_seconds
        starts = np.arange(0, max(length - seconds / 2, seconds / 2), seconds / 2)
        windows += [Moment(video_id, float(s), float(min(s + seconds, length))) for s in starts]
    if not windows:
        cure = "see results/{dataset}/ledger.parquet"
        raise UserError("no video with features", "at least one", cure)
    return windows


def _distinct(answers: list[Answer], limit: int) -> list[Answer]:
    """The first `limit` answers that do not overlap a better one."""
    kept: list[Answer] = []
    for answer in answers:
        if len(kept) == limit:
            break
        if not any(_overlap(answer.moment, better.moment) for better in kept):
            kept.append(answer)
    return kept


def _overlap(one: Moment, other: Moment) -> bool:
    return one.video_id == other.video_id and one.start < other.end and other.start < one.end


def format_answers(answers: list[Answer]) -> str:
    """A table: score, from-to as minutes and seconds, video."""
    lines = [
        f"{answer.score:9.3f}  {_clock(answer.moment.start)}-{_clock(answer.moment.end)}  {answer.moment.video_id}"
        for answer in answers
    ]
    return "\n".join(["    score  moment       video", *lines])


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
