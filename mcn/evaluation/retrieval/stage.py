"""Retrieval: a model on a captioned set -> `{dataset}.retrieval.json`, and early scores while a model is trained.

Conventions
-----------
- `scores`, `chance`, `intervals`: by modality pair (`t->va`: captions query clips by video + audio); `chance` also
  holds the first pair's numbers at its top. Recalls are percent of `total`, intervals (low, high) percent.
- `n`, `total` at the top: queries ranked, and queries of the set, of the first pair. `left_out`: the pairs that have no
  scores because the model lacks a modality.
- `captions`, `clips`, `several_captions`: how many there are, and how a clip with several is ranked (see `pairs`).
- `full_video`: by pair and protocol, where clips come from videos with several clips (see `full_video`); its `chance`
  holds the protocols that have an exact one.
- `languages`: where the captions are in more than one language, by language (`en`, '' for unknown): `scores`, `chance`
  and `intervals` of the pairs `t->...`, of the captions in it against the same gallery.
- `released_convention`: what the published `metrics.py` would print, for comparison; ties make it meaningless.
- `examples`: captions drawn at random among the ranked ones, ranks 1-based with ties averaged, best clips first.
- `missing`: captions or clips without an embedding, by reason; what that does to scores is `missing_policy`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcn.evaluation.annotations import Moment
from mcn.evaluation.embed import EvaluatedModel
from mcn.evaluation.retrieval import full_video
from mcn.evaluation.retrieval.pairs import SEVERAL_CAPTIONS, ClipEmbeddings, Ranking
from mcn.evaluation.scores import dot_products, undefined_as_none
from mcn.layout import Dataset
from mcn.networks.embedding import EmbeddingNetwork
from mcn.options.evaluation import RetrievalOptions
from mcn.options.sections import Experiment

logger = logging.getLogger(__name__)

EARLY_PAIRS = ("t->va", "t->v", "t->a")


def evaluate(given: EvaluatedModel) -> dict[str, Any]:
    """Scores of every pair of modalities; see Conventions."""
    options = given.options
    assert isinstance(options, RetrievalOptions)
    embeddings = ClipEmbeddings.of(given)
    if embeddings.left_out:
        logger.info("left out, the model lacks a modality: %s", ", ".join(embeddings.left_out))
    rankings = {pair: embeddings.rank(pair) for pair in embeddings.pairs}
    first = next(iter(rankings))
    scores = {pair: ranking.scores for pair, ranking in rankings.items()}
    sampling = options.interval_level, options.bootstrap_draws, options.seed
    return {
        "n": scores[first]["n"],
        "total": scores[first]["total"],
        "captions": len(embeddings.captions.texts),
        "clips": len(embeddings.captions.clips),
        "several_captions": SEVERAL_CAPTIONS,
        "scores": scores,
        "left_out": embeddings.left_out,
        "chance": {
            **rankings[first].chance,
            **{pair: ranking.chance for pair, ranking in rankings.items()},
        },
        "intervals": {pair: ranking.intervals(*sampling) for pair, ranking in rankings.items()},
        "full_video": full_video_scores(embeddings, options.vote_ties == "released"),
        "languages": language_scores(embeddings, rankings, sampling),
        "released_convention": {
            pair: found
            for pair, ranking in rankings.items()
            if (found := ranking.released(options.released_ties == "of_positions"))
        },
        "examples": examples(embeddings, first, rankings[first], options),
        "missing": embeddings.missing,
    }


def early_scores(given: EvaluatedModel) -> dict[str, dict[str, float]]:
    """Scores of text against video + audio, video and audio of a network in training: pair -> name -> number.

    They are those of `evaluate`, undefined ones left out. The network stays where it is and in its mode.
    """
    embeddings = ClipEmbeddings.of(given)
    pairs = embeddings.pairs[:1] if embeddings.together else EARLY_PAIRS
    scores = {pair: embeddings.rank(pair).scores for pair in pairs if pair in embeddings.pairs}
    return {
        pair: {name: value for name, value in found.items() if value is not None}
        for pair, found in scores.items()
    }


def early_scores_of(
    experiment: Experiment, results: Path, shards: int
) -> Callable[[EmbeddingNetwork], dict[str, dict[str, float]]] | None:
    """What scores the network of an experiment while it trains; None where it names no set for that.

    shards: of that set, which lies below `results`.
    """
    early = experiment.early_evaluation
    if early is None:
        return None
    dataset = Dataset(results / early.dataset, shards)
    inputs = dataset.model_shards(*experiment.features)
    tables = {"captions": dataset.table("captions")}
    options = early.retrieval
    return lambda network: early_scores(EvaluatedModel.of(network, inputs, tables, options))


def full_video_scores(
    embeddings: ClipEmbeddings, released_ties: bool = False
) -> dict[str, dict[str, Any]]:
    """Pair -> protocol -> scores, and `chance`; empty where no video has several clips, or no captions are embedded."""
    found: dict[str, dict[str, Any]] = {}
    for pair in embeddings.pairs:
        if not pair.startswith("t->"):
            continue
        given = embeddings.full_video(pair)
        if not full_video.applies(given.clip_video) or not given.total_videos:
            continue
        scores, chance = full_video.evaluate(given, released_ties), full_video.chance(given)
        found[pair] = {name: undefined_as_none(one) for name, one in scores.items()}
        found[pair]["chance"] = {name: undefined_as_none(one) for name, one in chance.items()}
    return found


def language_scores(
    embeddings: ClipEmbeddings, rankings: Mapping[str, Ranking], sampling: tuple[float, int, int]
) -> dict[str, dict[str, Any]]:
    """Language of captions -> `scores`, `chance` and `intervals` by pair; empty where there is only one language.

    sampling: arguments of `Ranking.intervals`.
    """
    if len(set(embeddings.captions.languages)) < 2:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for pair, ranking in rankings.items():
        if not pair.startswith("t->"):
            continue
        for language, part in embeddings.by_language(ranking).items():
            row = found.setdefault(language, {"scores": {}, "chance": {}, "intervals": {}})
            row["scores"][pair], row["chance"][pair] = part.scores, part.chance
            row["intervals"][pair] = part.intervals(*sampling)
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
