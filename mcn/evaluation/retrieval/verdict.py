"""Whether a head that was trained on the videos of a folder answers about them, or the frozen pair that it stands on.

Conventions
-----------
- The judges are the videos that training left out (`training.held_out_share`), which the model's config.yaml names.
  They are cut into clips that follow each other: from a line of narration on until `min_clip_seconds` have passed.
- The query of a clip is what is said in it; the pictures of all these clips are ranked by their cosine with it. Clips
  without a word that the text feature knows, or without a picture, are left out for both models.
- Compared is the mean reciprocal rank, 1 / (1 + rank) with ranks from 0 and ties averaged: clip by clip the head's less
  the pair's, averaged within each video, since the clips of one video resemble each other. The head answers where the
  95 % interval of the mean over videos (Student's t) lies above 0. With fewer than two videos it does not.
- `results/verdicts/{experiment}.json`: `head_answers`, `clips`, `videos`, `difference` (value, low, high), and for
  `head` and `pair` the mean reciprocal rank (`mrr`) and the recalls in percent of these clips. It is read by
  `mcn.evaluation.basis`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import stats

from mcn.evaluation.annotations import Moment
from mcn.evaluation.basis import VERDICT_VERSION
from mcn.evaluation.embed import EvaluatedModel
from mcn.evaluation.model import evaluating
from mcn.evaluation.retrieval.metrics import metrics, places_from_embeddings
from mcn.files import write_json
from mcn.layout import Dataset
from mcn.options.evaluation import EvaluationOptions
from mcn.options.training import HELD_OUT
from mcn.shards.lines import Lines, Narration, vocabulary_vectors

log = logging.getLogger(__name__)

LEVEL = 0.05
BATCH = 256  # texts embedded at a time


class SaidClip(NamedTuple):
    """A clip of a video and the token ids of its lines."""

    moment: Moment
    tokens: list[int]


def judge(head: Path, pair: Path, dataset: Dataset, output: Path) -> dict[str, Any]:
    """Compare a head with its pair on the videos that it was not trained on, and write what came out.

    head, pair: folders of models. Errors: `UserError` for models or shards that are missing or damaged.
    """
    models = [
        EvaluatedModel.load(one, dataset, (), EvaluationOptions(), "cpu") for one in (head, pair)
    ]
    given, text = models[0], str(models[0].inputs.text)
    held_out = given.config["training_set"]["excluded"].get(HELD_OUT, [])
    seconds = given.config["options"]["training"]["min_clip_seconds"]
    narration = Narration(dataset.features(text))
    vectors, _ = vocabulary_vectors(dataset.vocabulary(text))
    clips = [one for video_id in held_out for one in clips_of(video_id, narration, seconds)]
    ranks, kept = _ranks(models, clips, vectors)
    found = verdict([one.moment.video_id for one in kept], *ranks)
    write_json(output, {"version": VERDICT_VERSION, **found})
    log.info("%s: %s", output, found)
    return found


def verdict(video_ids: Sequence[str], head: np.ndarray, pair: np.ndarray) -> dict[str, Any]:
    """What is written of the 0-based ranks (n,) of each clip by the head and by the pair."""
    differences = 1 / (1 + head) - 1 / (1 + pair)
    names = sorted(set(video_ids))
    owners = np.array([names.index(one) for one in video_ids], int)
    means = np.array([differences[owners == number].mean() for number in range(len(names))])
    value = float(means.mean()) if len(means) else 0.0
    half = float("inf")
    if len(means) > 1:
        error = float(means.std(ddof=1) / np.sqrt(len(means)))
        half = float(stats.t.ppf(1 - LEVEL / 2, len(means) - 1)) * error
    bounded = np.isfinite(half)
    return {
        "head_answers": bool(bounded and value - half > 0),
        "clips": len(head),
        "videos": len(names),
        "difference": {
            "value": value,
            "low": value - half if bounded else None,
            "high": value + half if bounded else None,
        },
        "head": _scores(head),
        "pair": _scores(pair),
    }


def clips_of(video_id: str, narration: Narration, seconds: float) -> Iterator[SaidClip]:
    """The clips of a video, one behind the other, none in two languages."""
    lines: Lines = narration[video_id]
    first = 0
    while first < len(lines.starts):
        last = first
        while (
            lines.ends[last] - lines.starts[first] < seconds
            and last + 1 < len(lines.starts)
            and lines.languages[last + 1] == lines.languages[first]
        ):
            last += 1
        tokens = [token for line in range(first, last + 1) for token in lines.tokens[line]]
        yield SaidClip(Moment(video_id, lines.starts[first], lines.ends[last]), tokens)
        first = last + 1


def _ranks(
    models: Sequence[EvaluatedModel], clips: Sequence[SaidClip], vectors: np.ndarray
) -> tuple[list[np.ndarray], list[SaidClip]]:
    """The ranks of every clip by each model, and the clips that all of them embed."""
    clips = [one for one in clips if one.tokens]
    seen = [model.embed_video([one.moment for one in clips]) for model in models]
    kept = np.logical_and.reduce([one.present for one in seen])
    chosen = [clip for clip, is_kept in zip(clips, kept, strict=True) if is_kept]
    found = []
    for model, pictures in zip(models, seen, strict=True):
        texts = _texts(model, [one.tokens for one in chosen], vectors)
        found.append(places_from_embeddings(texts, pictures.vectors[kept]).ranks)
    return found, chosen


def _texts(
    model: EvaluatedModel, tokens: Sequence[Sequence[int]], vectors: np.ndarray
) -> np.ndarray:
    """Embeddings (n, d) of texts by the ids of their tokens; vectors: (V + 1, W), row 0 zeros."""
    found = np.zeros((len(tokens), model.model.embedding_width), np.float32)
    with evaluating(model.model):
        for start in range(0, len(tokens), BATCH):
            some = tokens[start : start + BATCH]
            ids = np.zeros((len(some), max(map(len, some))), np.int64)
            for row, one in zip(ids, some, strict=True):
                row[: len(one)] = one
            words = torch.from_numpy(vectors[ids])
            found[start : start + BATCH] = model.model.embed_text(words).numpy()
    return found


def _scores(ranks: np.ndarray) -> dict[str, float]:
    if not len(ranks):
        return {"mrr": 0.0, "R@1": 0.0, "R@5": 0.0, "R@10": 0.0}
    recalls = metrics(ranks)
    return {
        "mrr": float((1 / (1 + ranks)).mean()),
        **{key: float(recalls[key]) for key in ("R@1", "R@5", "R@10")},
    }
