"""The stage evaluate_localization: a trained model on step annotations -> `{dataset}.localization.json`.

Conventions
-----------
- Second t of a video and step k of its task: score = text_k . video_t, text_k . audio_t, or text_k . (video_t +
  audio_t): modes v, a, va; un-normalised.
- `scores`: recall (per video, then task), recall_pooled, recall_argmax, mean_average_precision of the headline mode,
  `recall (mode)` of every mode, percent; n, total: videos scored, videos of the set. `modes` has each mode's own
  numbers and denominators, `tasks` each task's of the headline mode. `chance`: the same for random scores.
- `splits`: where `cooking_tasks` is given, `scores` and `chance` of the headline mode for cooking and other tasks.
- A video and a task of it are one item. One that lacks a modality, or has fewer seconds than its task has steps, is a
  mistake or dropped, see `EvaluationOptions.missing_modality`, and counted in `missing`.
- `timelines`: videos drawn at random among those scored; `truth` rows [step, start, end], `predicted` [step, second].
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcn.evaluation.annotations import AnnotatedVideo, read_steps, read_vocabulary
from mcn.evaluation.embed import require_videos
from mcn.evaluation.localization.metrics import decode_steps
from mcn.evaluation.localization.second_embeddings import scorable
from mcn.evaluation.localization.step_scores import ModeOutcome, StepScorer
from mcn.evaluation.localization.task_splits import cooking_split
from mcn.evaluation.provenance import provenance
from mcn.evaluation.retrieval.clips import open_stores
from mcn.features.runtime import resolve
from mcn.files import write_json
from mcn.networks.checkpoints import load_model
from mcn.options.evaluation import LocalizationOptions
from mcn.options.features import RuntimeOptions

logger = logging.getLogger(__name__)


def evaluate_localization(
    model_directory: Path,
    shards: Mapping[str, Sequence[Path]],
    tasks: Path,
    steps: Path,
    vocabulary: Path,
    output: Path,
    experiment: str,
    dataset: str,
    options: LocalizationOptions,
    synthetic: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Score a model on step annotations; the JSON is written atomically to `output` and returned.

    Arguments and errors as for `mcn.evaluation.retrieval.stage.evaluate_retrieval`.
    """
    model, config = load_model(model_directory)
    place = resolve(RuntimeOptions.model_validate({"device": device})).device
    options = scorable(model, options)
    stores = open_stores(model, shards, options)
    texts, videos = read_steps(tasks, steps)
    require_videos(stores, [video.video_id for video in videos])
    splits = cooking_split(options.cooking_tasks, texts)
    scorer = StepScorer(model.to(place), stores, texts, read_vocabulary(vocabulary), options)
    outcomes = scorer.score(videos)
    headline = outcomes[options.score_mode]
    measured = {mode: outcome.summary() for mode, outcome in outcomes.items()}
    result = {
        "experiment": experiment,
        "dataset": dataset,
        "synthetic": synthetic,
        "n": measured[options.score_mode]["scores"]["n"],
        "total": measured[options.score_mode]["scores"]["total"],
        **{
            kind: {
                **measured[options.score_mode][kind],
                **{f"recall ({mode})": found[kind]["recall"] for mode, found in measured.items()},
            }
            for kind in ("scores", "chance")
        },
        "modes": measured,
        "tasks": headline.tasks(),
        "splits": {name: headline.summary(tasks) for name, tasks in splits.items()},
        "timelines": timelines(videos, headline, texts, options),
        "missing": dict(sorted(Counter(scorer.missing).items())),
        "missing_policy": options.missing_modality,
        "provenance": provenance(config, stores, options, place),
    }
    write_json(output, result)
    logger.info("%s on %s: %s", experiment, dataset, result["scores"])
    return result


def timelines(
    videos: Sequence[AnnotatedVideo],
    outcome: ModeOutcome,
    texts: Mapping[str, list[str]],
    options: LocalizationOptions,
) -> list[dict[str, Any]]:
    """True and predicted steps of scored videos drawn at random."""
    count = min(options.timelines, len(outcome.videos))
    chosen = np.random.default_rng(options.seed).choice(len(outcome.videos), count, replace=False)
    segments = {(video.video_id, video.task): video.segments for video in videos}
    found = []
    for number in np.sort(chosen):
        video, start = outcome.videos[number], outcome.starts[number]
        placed = decode_steps(video.scores, options.exactly_one)
        found.append(
            {
                "video_id": video.video_id,
                "task": video.task,
                "seconds": len(video.scores),
                "steps": texts[video.task],
                "truth": [list(segment) for segment in segments[video.video_id, video.task]],
                "predicted": [[int(k), start + int(t)] for k, t in np.argwhere(placed.T)],
            }
        )
    return found
