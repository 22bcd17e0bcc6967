"""Alignment: a model on ordered transcripts -> `{dataset}.alignment.json`.

Conventions
-----------
- `scores`: IoD, IoU (segment-wise, the declared default), `_classmask`, `_classmask_with_background`, `_hull`,
  frame_accuracy, frame_accuracy_with_background, recall (see `programme` and `metrics`) of the headline mode,
  `IoD (mode)` and `IoU (mode)` of every mode; percent, means over videos. Which averaging the published IoD and IoU
  used is UNVERIFIED. `chance`: the same programme on random scores.
- n, total: videos aligned, videos of the set. One that lacks a modality, has fewer seconds than its transcript has
  items, or whose transcript is not that of its segments is a mistake or dropped, see
  `EvaluationOptions.missing_modality`, and counted in `missing`.
- `modes` has each mode's own numbers and denominators; `tasks`, for step sets, each task's of the headline mode;
  `items`: transcript items that are not background, of all videos.
- `timelines`: videos drawn at random among those aligned; `items` are the texts of what is not background, `truth` and
  `predicted` rows [item, start, end], seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mcn.evaluation.alignment.metrics import AlignmentOutcome, AlignmentScorer
from mcn.evaluation.alignment.transcripts import (
    ClassList,
    Transcript,
    read_transcripts,
    step_transcripts,
)
from mcn.evaluation.embed import EvaluatedModel
from mcn.evaluation.seconds import drawn
from mcn.options.evaluation import AlignmentOptions


def evaluate(given: EvaluatedModel) -> dict[str, Any]:
    """Scores of every mode, of the data set's own transcripts or of its annotated steps; see Conventions."""
    options = given.options
    assert isinstance(options, AlignmentOptions)
    tables = given.tables
    if "segments" in tables:
        names = ("classes", "transcripts", "segments")
        lists, transcripts = read_transcripts(*(tables[name] for name in names))
    else:
        steps = tables["tasks"], tables["steps"]
        lists, transcripts = step_transcripts(*steps, options.background_items)
    given.require_videos([one.video_id for one in transcripts])
    scorer = AlignmentScorer(given, lists)
    outcomes = scorer.score(transcripts)
    headline = outcomes[scorer.headline]
    return {
        **scorer.result({mode: one.summary() for mode, one in outcomes.items()}, ["IoD", "IoU"]),
        "items": sum(_named_items(one, lists[one.group]) for one in transcripts),
        "tasks": headline.groups(),
        "timelines": timelines(headline, lists, options),
    }


def timelines(
    outcome: AlignmentOutcome, lists: Mapping[str, ClassList], options: AlignmentOptions
) -> list[dict[str, Any]]:
    """True and predicted segments of aligned videos drawn at random."""
    found = []
    for video in drawn(outcome.videos, options.timelines, options.seed):
        transcript, listed = video.transcript, lists[video.transcript.group]
        named = np.flatnonzero(~np.isin(transcript.classes, list(listed.background)))
        borders = [np.searchsorted(video.path, named, side) for side in ("left", "right")]
        runs = np.stack(borders, axis=1) / video.rate + video.start
        found.append(
            {
                "video_id": transcript.video_id,
                "task": transcript.group,
                "seconds": video.start + len(video.path) / video.rate,
                "items": [listed.texts[transcript.classes[item]] for item in named],
                "truth": [[n, *span] for n, span in enumerate(transcript.spans[named].tolist())],
                "predicted": [[n, *run] for n, run in enumerate(runs.tolist())],
            }
        )
    return found


def _named_items(transcript: Transcript, listed: ClassList) -> int:
    return int((~np.isin(transcript.classes, list(listed.background))).sum())
