"""Zero-shot retrieval scores of a network that is still in training, by the code of the final evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mcn.evaluation.annotations import read_captions, read_vocabulary
from mcn.evaluation.embed import audio_feature
from mcn.evaluation.retrieval.clips import embed_clips, open_stores
from mcn.networks.mcn import MultimodalClusteringNetwork
from mcn.options.evaluation import RetrievalOptions

EARLY_PAIRS = ("t->va", "t->v", "t->a")


def quick_retrieval(
    model: MultimodalClusteringNetwork,
    stores: Mapping[str, Sequence[Path]],
    captions: Path,
    vocabulary: Path,
    options: RetrievalOptions,
) -> dict[str, dict[str, float]]:
    """Scores of text against video + audio, video and audio: pair -> R@1, R@5, R@10, MedR, MeanR, n, total.

    The network stays where it is and in its mode. `stores`: shards by feature name, `audio` being those that the
    model hears (as for `mcn.training.train.train`). Undefined scores (nothing to rank) are left out.
    """
    shards = {**stores, audio_feature(model): stores["audio"]} if "audio" in stores else stores
    embeddings = embed_clips(
        model,
        open_stores(model, shards, options),
        read_captions(captions),
        read_vocabulary(vocabulary),
        options,
    )
    scores = {
        pair: embeddings.rank(pair).scores for pair in EARLY_PAIRS if pair in embeddings.pairs
    }
    return {
        pair: {name: value for name, value in found.items() if value is not None}
        for pair, found in scores.items()
    }
