"""Shards and captions of one set -> its clips and captions in a model's space."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from mcn.errors import UserError
from mcn.evaluation.annotations import Captions, Vocabulary
from mcn.evaluation.embed import (
    Embedded,
    Stores,
    audio_feature,
    embed_audio,
    embed_text,
    embed_video,
    require_videos,
)
from mcn.evaluation.retrieval.pairs import ClipEmbeddings
from mcn.networks.mcn import MultimodalClusteringNetwork
from mcn.options.evaluation import EvaluationOptions, RetrievalOptions
from mcn.shards.mapped import MappedFeatures

logger = logging.getLogger(__name__)


def open_stores(
    model: MultimodalClusteringNetwork,
    shards: Mapping[str, Sequence[Path]],
    options: EvaluationOptions,
) -> Stores:
    """The features that the model reads, of `shards` by feature name; `UserError` naming those that are not there."""
    names = [*options.video_features, *([audio_feature(model)] if model.has_audio else [])]
    absent = [name for name in names if not shards.get(name)]
    if absent:
        raise UserError(
            f"no shards of {', '.join(absent)}",
            f"shards of {', '.join(names)}",
            "extract these features, or correct video_features",
        )
    return {name: MappedFeatures(shards[name]) for name in names}


def embed_clips(
    model: MultimodalClusteringNetwork,
    stores: Stores,
    captions: Captions,
    vocabulary: Vocabulary,
    options: RetrievalOptions,
) -> ClipEmbeddings:
    """Every caption and clip of a set, in the modalities that the model has branches for."""
    require_videos(stores, [clip.video_id for clip in captions.clips])
    modalities: dict[str, Embedded] = {}
    if model.has_text:
        modalities["t"] = embed_text(
            model, vocabulary, captions.texts, options.max_words, options.batch_size
        )
    modalities["v"] = embed_video(model, stores, captions.clips, options)
    if model.has_audio:
        modalities["a"] = embed_audio(
            model,
            stores[audio_feature(model)],
            captions.clips,
            options.audio_frames,
            options.batch_size,
        )
    policy, total = options.missing_modality, options.published_total
    embeddings = ClipEmbeddings(captions, modalities, policy, total)
    for reason, count in embeddings.missing.items():
        logger.warning("%d without %s (policy: %s)", count, reason, policy)
    return embeddings
