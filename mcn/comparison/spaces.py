"""What a comparison needs of a trained model on an annotated set: ranks of single captions, embedded steps.

Conventions
-----------
- A query that cannot be ranked has rank infinity: it is a mistake, as in the evaluation.
- Steps are the annotated segments of a localization set; a step's label is its text, so that one step of two tasks is
  one label. Vectors are zero where a segment has no such modality; such segments are left out of clusters and pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcn.evaluation.annotations import Moment, read_captions, read_steps, read_vocabulary
from mcn.evaluation.embed import audio_feature, embed_audio, embed_text, embed_video
from mcn.evaluation.retrieval.clips import embed_clips, open_stores
from mcn.layout import Dataset
from mcn.networks import MultimodalClusteringNetwork
from mcn.networks.checkpoints import load_model
from mcn.options.sections import DatasetOptions

COMPARED_PAIRS = ("t->va", "t->v", "t->a", "v->a")


@dataclass(frozen=True)
class CaptionRanks:
    """Pair -> 0-based ranks (Q,) of all its queries, and the video (Q,) that each query's clip is from."""

    ranks: dict[str, np.ndarray]
    videos: dict[str, np.ndarray]


@dataclass(frozen=True)
class StepVectors:
    """Letter (v, a) -> (N, d) vectors of the annotated segments, `va` their sum; labels, tasks (N,) of the segments.

    texts: (M, d) vectors of the distinct step texts, empty for a model without text.
    """

    vectors: dict[str, np.ndarray]
    labels: list[str]
    tasks: list[str]
    texts: np.ndarray


def caption_ranks(model_directory: Path, dataset: Dataset, options: DatasetOptions) -> CaptionRanks:
    """Embed a retrieval set and rank the queries of the compared pairs that the model has branches for."""
    model, _ = load_model(model_directory)
    captions = read_captions(dataset.table("captions"))
    stores = open_stores(model, dataset.all_features(), options.retrieval)
    vocabulary = read_vocabulary(dataset.table("vocabulary"))
    embeddings = embed_clips(model, stores, captions, vocabulary, options.retrieval)
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
    model, _ = load_model(model_directory)
    texts, videos = read_steps(dataset.table("tasks"), dataset.table("steps"))
    chosen = options.retrieval
    stores = open_stores(model, dataset.all_features(), chosen)
    segments = [
        (Moment(video.video_id, start, end), texts[video.task][step], video.task)
        for video in videos
        for step, start, end in video.segments
    ]
    moments = [moment for moment, _, _ in segments]
    found = {"v": embed_video(model, stores, moments, chosen)}
    if model.has_audio:
        store = stores[audio_feature(model)]
        found["a"] = embed_audio(model, store, moments, chosen.audio_frames, chosen.batch_size)
    usable = np.all([one.present for one in found.values()], axis=0)
    vectors = {letter: one.vectors[usable] for letter, one in found.items()}
    if "a" in vectors:
        vectors["va"] = vectors["v"] + vectors["a"]
    kept = [segment for segment, good in zip(segments, usable, strict=True) if good]
    return StepVectors(
        vectors,
        [label for _, label, _ in kept],
        [task for _, _, task in kept],
        _text_vectors(model, dataset, sorted({label for _, label, _ in kept}), options),
    )


def _text_vectors(
    model: MultimodalClusteringNetwork, dataset: Dataset, labels: list[str], options: DatasetOptions
) -> np.ndarray:
    if not model.has_text:
        return np.zeros((0, model.embedding_width), np.float32)
    vocabulary = read_vocabulary(dataset.table("vocabulary"))
    chosen = options.localization
    found = embed_text(model, vocabulary, labels, chosen.max_words, chosen.batch_size)
    return found.vectors[found.present]
