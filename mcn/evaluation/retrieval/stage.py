"""The stage evaluate_retrieval: a trained model on a captioned set -> `{dataset}.retrieval.json`.

Conventions
-----------
- `scores`, `chance`, `intervals`: by modality pair (`t->va`: captions query clips by video + audio); `chance` also
  holds the first pair's numbers at its top. Recalls are percent of `total`, intervals (low, high) percent.
- `n`, `total` at the top: queries ranked, and queries of the set, of the first pair.
- `captions`, `clips`, `several_captions`: how many there are, and how a clip with several is ranked (see `pairs`).
- `full_video`: by pair and protocol, where clips come from videos with several clips (see `full_video`); its `chance`
  holds the protocols that have an exact one.
- `released_convention`: what the published `metrics.py` would print, for comparison; ties make it meaningless.
- `examples`: captions drawn at random among the ranked ones, ranks 1-based with ties averaged, best clips first.
- `missing`: captions or clips without an embedding, by reason; what that does to scores is `missing_policy`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcn.evaluation.annotations import Moment, read_captions, read_vocabulary
from mcn.evaluation.provenance import provenance
from mcn.evaluation.retrieval import full_video
from mcn.evaluation.retrieval.clips import embed_clips, open_stores
from mcn.evaluation.retrieval.metrics import dot_products
from mcn.evaluation.retrieval.pairs import (
    SEVERAL_CAPTIONS,
    ClipEmbeddings,
    Ranking,
    undefined_as_none,
)
from mcn.features.runtime import resolve
from mcn.files import write_json
from mcn.networks.checkpoints import load_model
from mcn.options.evaluation import RetrievalOptions
from mcn.options.features import RuntimeOptions

logger = logging.getLogger(__name__)


def evaluate_retrieval(
    model_directory: Path,
    shards: Mapping[str, Sequence[Path]],
    captions: Path,
    vocabulary: Path,
    output: Path,
    experiment: str,
    dataset: str,
    options: RetrievalOptions,
    synthetic: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Score a model on a captioned set; the JSON is written atomically to `output` and returned.

    shards: feature name -> shards of the whole set. synthetic: the set is rendered, which every table says.

    Errors: `UserError` for models, shards, annotations or vocabularies that are missing, damaged or do not fit.
    """
    model, config = load_model(model_directory)
    place = resolve(RuntimeOptions.model_validate({"device": device})).device
    stores = open_stores(model, shards, options)
    embeddings = embed_clips(
        model.to(place), stores, read_captions(captions), read_vocabulary(vocabulary), options
    )
    rankings = {pair: embeddings.rank(pair) for pair in embeddings.pairs}
    first = next(iter(rankings))
    scores = {pair: ranking.scores for pair, ranking in rankings.items()}
    sampling = options.interval_level, options.bootstrap_draws, options.seed
    result = {
        "experiment": experiment,
        "dataset": dataset,
        "synthetic": synthetic,
        "n": scores[first]["n"],
        "total": scores[first]["total"],
        "captions": len(embeddings.captions.texts),
        "clips": len(embeddings.captions.clips),
        "several_captions": SEVERAL_CAPTIONS,
        "scores": scores,
        "chance": {
            **rankings[first].chance,
            **{pair: ranking.chance for pair, ranking in rankings.items()},
        },
        "intervals": {pair: ranking.intervals(*sampling) for pair, ranking in rankings.items()},
        "full_video": full_video_scores(embeddings),
        "released_convention": {
            pair: found for pair, ranking in rankings.items() if (found := ranking.released)
        },
        "examples": examples(embeddings, first, rankings[first], options),
        "missing": embeddings.missing,
        "missing_policy": options.missing_modality,
        "provenance": provenance(config, stores, options, place),
    }
    write_json(output, result)
    logger.info("%s on %s, %s: %s", experiment, dataset, first, scores[first])
    return result


def full_video_scores(embeddings: ClipEmbeddings) -> dict[str, dict[str, Any]]:
    """Pair -> protocol -> scores, and `chance`; empty where no video has several clips, or no captions are embedded."""
    found: dict[str, dict[str, Any]] = {}
    for pair in embeddings.pairs:
        if not pair.startswith("t->"):
            continue
        given = embeddings.full_video(pair)
        if not full_video.applies(given.clip_video) or not given.total_videos:
            continue
        scores, chance = full_video.evaluate(given), full_video.chance(given)
        found[pair] = {name: undefined_as_none(one) for name, one in scores.items()}
        found[pair]["chance"] = {name: undefined_as_none(one) for name, one in chance.items()}
    return found


def examples(
    embeddings: ClipEmbeddings, pair: str, ranking: Ranking, options: RetrievalOptions
) -> list[dict[str, Any]]:
    """Queries of a pair drawn at random, each with its best clips; none where captions are not the queries."""
    queries, gallery = (embeddings.side(letters) for letters in pair.split("->"))
    if not pair.startswith("t->"):
        return []
    count = min(options.examples, len(ranking.queries))
    chosen = np.sort(
        np.random.default_rng(options.seed).choice(len(ranking.queries), count, replace=False)
    )
    scores = dot_products(
        queries.vectors[ranking.queries[chosen]], gallery.vectors[ranking.gallery]
    )
    captions, found = embeddings.captions, []
    for row, number in zip(scores, chosen, strict=True):
        query = ranking.queries[number]
        clip = int(captions.clip_of[query])
        best = np.argsort(-row, kind="stable")[: options.example_results]
        found.append(
            {
                **_clip(captions.clip_ids, captions.clips, clip),
                "caption": captions.texts[query],
                "rank": float(ranking.ranks[number]) + 1,
                "top": [
                    {
                        **_clip(captions.clip_ids, captions.clips, int(ranking.gallery[position])),
                        "score": float(row[position]),
                        "correct": int(position) in ranking.positives[number],
                    }
                    for position in best
                ],
            }
        )
    return found


def _clip(ids: Sequence[str], clips: Sequence[Moment], clip: int) -> dict[str, Any]:
    video_id, start, end = clips[clip]
    return {
        "clip_id": ids[clip],
        "video_id": video_id,
        "start_seconds": start,
        "end_seconds": end if math.isfinite(end) else None,
    }
