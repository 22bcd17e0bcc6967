"""The stage evaluate_alignment: a trained model on ordered transcripts -> `{dataset}.alignment.json`.

Conventions
-----------
- `scores`: IoD, IoU (segment-wise, the declared default), `_classmask`, `_classmask_with_background`, `_hull`,
  frame_accuracy, frame_accuracy_with_background, recall (see `alignment` and `alignment_scores`) of the headline mode,
  `IoD (mode)` and `IoU (mode)` of every mode; percent, means over videos. Which averaging the published IoD and IoU
  used is UNVERIFIED. `chance`: the same programme on random scores.
- n, total: videos aligned, videos of the set. One that lacks a modality, has fewer seconds than its transcript has
  items, or whose transcript is not that of its segments is a mistake or dropped, see
  `EvaluationOptions.missing_modality`, and counted in `missing`.
- `modes` has each mode's own numbers and denominators; `tasks`, for step sets, each task's of the headline mode;
  `items`: transcript items that are not background, of all videos.
- `timelines`: videos drawn at random among those aligned; `items` are the texts of what is not background, `truth` and
  `predicted` rows [item, start, end], seconds.
- Text files of log-probabilities, if asked for: `VIDEO.probs`, a row a second, a column a class, separated by blanks
  (the input of Mining YouTube's own alignment).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcn.evaluation.alignment.metrics import AlignmentOutcome, AlignmentScorer, Export
from mcn.evaluation.alignment.programme import segments
from mcn.evaluation.alignment.transcripts import ClassList, Transcript
from mcn.evaluation.annotations import read_vocabulary
from mcn.evaluation.embed import require_videos
from mcn.evaluation.localization.second_embeddings import scorable
from mcn.evaluation.provenance import provenance
from mcn.evaluation.retrieval.clips import open_stores
from mcn.features.runtime import resolve
from mcn.files import atomic_path, write_json
from mcn.networks.checkpoints import load_model
from mcn.options.evaluation import AlignmentOptions
from mcn.options.features import RuntimeOptions

logger = logging.getLogger(__name__)

Annotations = tuple[dict[str, ClassList], list[Transcript]]


def evaluate_alignment(
    model_directory: Path,
    shards: Mapping[str, Sequence[Path]],
    annotations: Annotations,
    vocabulary: Path,
    output: Path,
    experiment: str,
    dataset: str,
    options: AlignmentOptions,
    synthetic: bool = False,
    device: str = "auto",
    probabilities: Path | None = None,
) -> dict[str, Any]:
    """Align a model's scores with the transcripts; the JSON is written atomically to `output` and returned.

    annotations: of `transcripts.read_transcripts` or `transcripts.step_transcripts`. probabilities: folder for
    `VIDEO.probs` files, made if need be. Other arguments and errors as for
    `mcn.evaluation.retrieval.stage.evaluate_retrieval`.
    """
    model, config = load_model(model_directory)
    place = resolve(RuntimeOptions.model_validate({"device": device})).device
    options = scorable(model, options)
    stores = open_stores(model, shards, options)
    lists, transcripts = annotations
    require_videos(stores, [one.video_id for one in transcripts])
    scorer = AlignmentScorer(model.to(place), stores, lists, read_vocabulary(vocabulary), options)
    outcomes = scorer.score(transcripts, _exporter(probabilities) if probabilities else None)
    headline = outcomes[options.score_mode]
    measured = {mode: outcome.summary() for mode, outcome in outcomes.items()}
    result = {
        "experiment": experiment,
        "dataset": dataset,
        "synthetic": synthetic,
        "n": measured[options.score_mode]["scores"]["n"],
        "total": measured[options.score_mode]["scores"]["total"],
        "items": sum(_named_items(one, lists[one.group]) for one in transcripts),
        **{
            kind: {
                **measured[options.score_mode][kind],
                **{
                    f"{name} ({mode})": found[kind][name]
                    for mode, found in measured.items()
                    for name in ("IoD", "IoU")
                },
            }
            for kind in ("scores", "chance")
        },
        "modes": measured,
        "tasks": headline.groups(),
        "timelines": timelines(headline, lists, options),
        "missing": dict(sorted(scorer.missing.items())),
        "missing_policy": options.missing_modality,
        "provenance": provenance(config, stores, options, place),
    }
    write_json(output, result)
    logger.info("%s on %s: %s", experiment, dataset, result["scores"])
    return result


def timelines(
    outcome: AlignmentOutcome, lists: Mapping[str, ClassList], options: AlignmentOptions
) -> list[dict[str, Any]]:
    """True and predicted segments of aligned videos drawn at random."""
    count = min(options.timelines, len(outcome.videos))
    chosen = np.random.default_rng(options.seed).choice(len(outcome.videos), count, replace=False)
    found = []
    for number in np.sort(chosen):
        video = outcome.videos[number]
        transcript, listed = video.transcript, lists[video.transcript.group]
        named = np.flatnonzero(~np.isin(transcript.classes, list(listed.background)))
        runs = segments(video.path)[named, 1:] + video.start
        found.append(
            {
                "video_id": transcript.video_id,
                "task": transcript.group,
                "seconds": video.start + len(video.path),
                "items": [listed.texts[transcript.classes[item]] for item in named],
                "truth": [[n, *span] for n, span in enumerate(transcript.spans[named].tolist())],
                "predicted": [[n, *run] for n, run in enumerate(runs.tolist())],
            }
        )
    return found


def _named_items(transcript: Transcript, listed: ClassList) -> int:
    return int((~np.isin(transcript.classes, list(listed.background))).sum())


def _exporter(folder: Path) -> Export:
    """A function that writes log-probabilities (T, C) of a video into `folder`."""

    def export(video_id: str, log_probabilities: np.ndarray) -> None:
        with atomic_path(folder / f"{video_id}.probs") as temporary:
            np.savetxt(temporary, log_probabilities, fmt="%.6f", delimiter=" ")

    return export
