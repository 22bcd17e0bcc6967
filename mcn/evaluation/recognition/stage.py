"""The stage evaluate_recognition: a trained model on labelled action videos -> `{dataset}.recognition.json`.

Conventions
-----------
- Score of a video and a class: text . video, vision only (MCN's UCF-101 / HMDB-51 protocol); all labelled videos, no
  split. Every visual feature is pooled over the whole video (`RecognitionOptions.pooling`), L2-normalised, then
  concatenated.
- `scores`: top-1, top-5 (percent of `total`), n, total; `chance`: the same for random orders; `classes`: top-1, n and
  total of every class.
- A video without visual features is a mistake, or dropped (`missing_modality`; `video_only` is as `mistake`); a class
  text without a known word has a zero vector; both are counted in `missing`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcn.errors import UserError
from mcn.evaluation.annotations import read_rows, read_vocabulary
from mcn.evaluation.embed import Stores, absence, embed_features, embed_text, require_videos
from mcn.evaluation.provenance import provenance
from mcn.evaluation.recognition import metrics as recognition
from mcn.evaluation.retrieval.clips import open_stores
from mcn.evaluation.retrieval.metrics import dot_products
from mcn.features.runtime import resolve
from mcn.files import write_json
from mcn.networks.checkpoints import load_model
from mcn.options.evaluation import RecognitionOptions
from mcn.options.features import RuntimeOptions
from mcn.shards.clips import maximum, unit_length

logger = logging.getLogger(__name__)


def _mean(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows.mean(axis=0, dtype=np.float32))


POOLING: dict[str, Callable[[np.ndarray], np.ndarray]] = {"mean": _mean, "max": maximum}


def evaluate_recognition(
    model_directory: Path,
    shards: Mapping[str, Sequence[Path]],
    actions: Path,
    labels: Path,
    vocabulary: Path,
    output: Path,
    experiment: str,
    dataset: str,
    options: RecognitionOptions,
    synthetic: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Score a model on labelled videos; the JSON is written atomically to `output` and returned.

    actions: table class, text; labels: table video_id, class. Other arguments and errors as for
    `mcn.evaluation.retrieval.stage.evaluate_retrieval`.
    """
    model, config = load_model(model_directory)
    if not model.has_text:
        raise UserError("a model without a text branch", "one trained on text", "evaluate another")
    place = resolve(RuntimeOptions.model_validate({"device": device})).device
    opened = open_stores(model, shards, options)
    stores = {name: opened[name] for name in options.video_features}
    classes, texts, video_ids, labelled = read_labels(actions, labels)
    require_videos(stores, video_ids)
    pooled = [pool_video(stores, options, video_id) for video_id in video_ids]
    usable = np.flatnonzero([not isinstance(one, str) for one in pooled])
    if not len(usable):
        raise UserError("no video with visual features", "at least one", "see the ledger")
    features = np.array([pooled[number] for number in usable], np.float32)
    videos = embed_features(model.to(place), features, options.batch_size)
    words = read_vocabulary(vocabulary)
    named = embed_text(model, words, texts, options.max_words, options.batch_size)
    missing = Counter(one for one in [*pooled, *named.reasons] if isinstance(one, str) and one)
    everyone = labelled[usable] if options.missing_modality == "drop" else labelled
    result = {
        "experiment": experiment,
        "dataset": dataset,
        "synthetic": synthetic,
        **measure(dot_products(videos, named.vectors), labelled[usable], everyone, classes),
        "missing": dict(sorted(missing.items())),
        "missing_policy": options.missing_modality,
        "provenance": provenance(config, stores, options, place),
    }
    write_json(output, result)
    logger.info("%s on %s: %s", experiment, dataset, result["scores"])
    return result


def measure(
    scores: np.ndarray, labels: np.ndarray, everyone: np.ndarray, classes: Sequence[str]
) -> dict[str, Any]:
    """Counts, scores, chance and classes of the JSON, from (N, C) scores and the class numbers of their videos.

    everyone: class numbers of all videos of the denominator.
    """
    by_class = recognition.by_class(
        recognition.ranks(scores, labels), labels, everyone, len(classes)
    )
    return {
        "n": len(labels),
        "total": len(everyone),
        "scores": recognition.evaluate(scores, labels, len(everyone)),
        "chance": recognition.chance(len(classes), len(labels), len(everyone)),
        "classes": {classes[number]: found for number, found in by_class.items()},
    }


def read_labels(actions: Path, labels: Path) -> tuple[list[str], list[str], list[str], np.ndarray]:
    """Classes, their texts, labelled videos, and the class number of each."""
    listed = read_rows(actions, ["class", "text"])
    number = {row["class"]: one for one, row in enumerate(listed)}
    rows = read_rows(labels, ["video_id", "class"])
    truth = np.array([number[row["class"]] for row in rows])
    return list(number), [row["text"] for row in listed], [row["video_id"] for row in rows], truth


def pool_video(stores: Stores, options: RecognitionOptions, video_id: str) -> np.ndarray | str:
    """Pooled features (D,) float32 of a whole video, or the reason why there are none."""
    parts = []
    for name in options.video_features:
        sequence = stores[name][video_id]
        if sequence.values is None:
            return absence("video", sequence)
        parts.append(unit_length(POOLING[options.pooling](sequence.values)))
    return np.concatenate(parts) if all(part.any() for part in parts) else "video: empty_window"
