"""What a study needs of a trained model on an annotated set: ranks of single captions, embedded steps.

Conventions
-----------
- A query that cannot be ranked has rank infinity: it is a mistake, as in the evaluation.
- Steps are the annotated segments of a localization set; a step's label is its text, so that one step of two tasks is
  one label. Vectors are zero where a segment has no such modality; such segments are left out of clusters and pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mcn.evaluation.annotations import Moment, read_steps
from mcn.evaluation.embed import EvaluatedModel
from mcn.evaluation.retrieval.pairs import ClipEmbeddings
from mcn.layout import Dataset
from mcn.options.sections import DatasetOptions

COMPARED_PAIRS = ("t->va", "t->v", "t->a", "v->a")


@dataclass(frozen=True)
class CaptionRanks:
    """Pair -> 0-based ranks (Q,) of all its queries, and the video (Q,) that each query's clip is from."""

    ranks: dict[str, np.ndarray]
    videos: dict[str, np.ndarray]


@dataclass(frozen=True)
class StepVectors:
    """Letter (v, a) -> (N, d) vectors of the annotated segments, `va` their sum; labels, tasks, videos (N,) of them.

    texts: (M, d) vectors of the distinct step texts, empty for a model without text.
    """

    vectors: dict[str, np.ndarray]
    labels: list[str]
    tasks: list[str]
    videos: list[str]
    texts: np.ndarray


def caption_ranks(model_directory: Path, dataset: Dataset, options: DatasetOptions) -> CaptionRanks:
    """Embed a retrieval set and rank the queries of the compared pairs that the model has branches for."""
    given = EvaluatedModel.load(model_directory, dataset, ["captions"], options.retrieval, "cpu")
    embeddings = ClipEmbeddings.of(given)
    captions = embeddings.captions
    clip_videos = np.array([clip.video_id for clip in captions.clips])
    found = CaptionRanks({}, {})
    for pair in COMPARED_PAIRS:
        if pair in embeddings.pairs:
            ranking = embeddings.rank(pair)
            videos = clip_videos[captions.clip_of] if pair.startswith("t") else clip_videos
            found.videos[pair] = videos
            found.ranks[pair] = np.full(len(videos), np.inf)
            found.ranks[pair][ranking.queries] = ranking.ranks
    return found


def step_vectors(model_directory: Path, dataset: Dataset, options: DatasetOptions) -> StepVectors:
    """Embed the annotated segments of a localization set."""
    chosen = options.retrieval
    given = EvaluatedModel.load(model_directory, dataset, ["tasks", "steps"], chosen, "cpu")
    texts, videos = read_steps(given.tables["tasks"], given.tables["steps"])
    segments = [
        (Moment(video.video_id, start, end), texts[video.task][step], video.task)
        for video in videos
        for step, start, end in video.segments
    ]
    moments = [moment for moment, _, _ in segments]
    found = {"v": given.embed_video(moments)} if "v" in given.letters else {}
    if "a" in given.letters:
        found["a"] = given.embed_audio(moments, chosen.audio_frames)
    usable = np.all([one.present for one in found.values()], axis=0)
    vectors = {letter: one.vectors[usable] for letter, one in found.items()}
    if set(vectors) == {"v", "a"}:
        vectors["va"] = vectors["v"] + vectors["a"]
    kept = [segment for segment, good in zip(segments, usable, strict=True) if good]
    return StepVectors(
        vectors,
        [label for _, label, _ in kept],
        [task for _, _, task in kept],
        [moment.video_id for moment, _, _ in kept],
        _text_vectors(
            replace(given, options=options.localization), sorted({label for _, label, _ in kept})
        ),
    )


def _text_vectors(given: EvaluatedModel, labels: list[str]) -> np.ndarray:
    if "t" not in given.letters:
        return np.zeros((0, given.model.embedding_width), np.float32)
    found = given.embed_text(labels)
    return found.vectors[found.present]
