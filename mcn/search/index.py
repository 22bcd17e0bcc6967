"""Windows of the videos of a shard with their vectors: a part of the index of a data set.

Conventions
-----------
- Windows of pictures are the scenes of the video (`mcn.search.scenes`), found in the first feature of pictures that the
  model reads. A window begins at the row that shows something else, which is half a step from a cut at most.
- Sound, and pictures where `scene_change` is null, are cut into windows of `window_seconds` that start every
  `step_seconds`. The last one ends with the video, and is longer where less than half a step would be left over. A
  video that is shorter than a window is one window.
- The source `seen` holds the embeddings of the windows' pictures and `heard` those of their sound, for models that
  have these modalities. A window without an embedding is left out; a video without any is named with the reason.
- A part depends on the model and on the features of its own shard alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mcn.evaluation.annotations import Moment
from mcn.evaluation.embed import Embedded, EvaluatedModel
from mcn.evaluation.inputs import absence
from mcn.files import file_sha256
from mcn.layout import Dataset
from mcn.options.evaluation import EvaluationOptions
from mcn.options.search import WINDOWS, SearchOptions
from mcn.search.scenes import rows_in, scenes
from mcn.search.vectors import Windows, write_part
from mcn.shards import FeatureStore

log = logging.getLogger(__name__)

VERSION = 2  # of the numbers of this stage
MODALITIES = {"v": "seen", "a": "heard"}


def index_shard(
    model: Path, dataset: Dataset, shard: int, options: SearchOptions, output: Path, device: str
) -> None:
    """Write the part of one shard: `model` is the folder of a model, `dataset` that of the features that it reads."""
    given = EvaluatedModel.load(model, dataset.only(shard), (), EvaluationOptions(), device)
    sources = {
        source: _source(given, letter, options)
        for letter, source in MODALITIES.items()
        if letter in given.letters
    }
    recipe = {
        "version": VERSION,
        "model": {path.name: file_sha256(path) for path in _files(model)},
        "windows": options.model_dump(include=set(WINDOWS)),
    }
    write_part(output, sources, recipe)
    counts = ", ".join(f"{len(windows.videos)} {name}" for name, windows in sources.items())
    log.info("%s: windows: %s", output, counts)


def _files(model: Path) -> list[Path]:
    """The files that make a model what it is."""
    return [
        path for name in ("model.safetensors", "config.yaml") if (path := model / name).exists()
    ]


def _source(given: EvaluatedModel, letter: str, options: SearchOptions) -> Windows:
    """The windows of one modality and their embeddings."""
    video = letter == "v"
    name = given.inputs.video[0] if video else str(given.inputs.audio)
    store = given.stores[name]
    ids = sorted(store)
    windows, numbers, errors = [], [], []
    for number, video_id in enumerate(ids):
        sequence = store[video_id]
        modality = "video" if video else "audio"
        errors.append("" if sequence.values is not None else absence(modality, sequence))
        found = windows_of(store, video_id, options, video)
        windows += found
        numbers += [number] * len(found)
    embedded = embed_windows(given, windows, video, options)
    kept = embedded.present
    for number, reason in zip(numbers, embedded.reasons, strict=True):
        errors[number] = errors[number] or reason
    with_window = np.unique(np.array(numbers, int)[kept])
    errors = ["" if number in with_window else error for number, error in enumerate(errors)]
    starts, ends = np.array([one[1:] for one in windows], float).reshape(-1, 2)[kept].T
    return Windows(ids, errors, np.array(numbers, int)[kept], starts, ends, embedded.vectors[kept])


def embed_windows(
    given: EvaluatedModel, windows: Sequence[Moment], video: bool, options: SearchOptions
) -> Embedded:
    """The embeddings of windows, of their pictures (`video`) or of their sound."""
    if video and options.scene_change is not None:
        store = given.stores[given.inputs.video[0]]
        return given.embed_video(
            [_inside(one, store[one.video_id].step_seconds) for one in windows]
        )
    if video:
        return given.embed_video(windows)
    return given.embed_audio(windows, max(16, round(100 * options.window_seconds)))  # of 10 ms


def _inside(scene: Moment, step: float) -> Moment:
    """A scene without the row that begins with its end, which clips of an evaluation take in."""
    return scene._replace(start=scene.start + 1e-6, end=scene.end - step / 2)


def windows_of(
    store: FeatureStore, video_id: str, options: SearchOptions, video: bool
) -> list[Moment]:
    """The windows of one video, of its pictures (`video`) or of its sound; none where it has no features."""
    sequence = store[video_id]
    if sequence.values is None:
        return []
    first, step = sequence.start_seconds, sequence.step_seconds
    if video and options.scene_change is not None:
        bounds = (rows_in(one, step) for one in (options.longest_seconds, options.shortest_seconds))
        found = scenes(sequence.values, options.scene_change, *bounds)
        return [Moment(video_id, first + start * step, first + end * step) for start, end in found]
    length = len(sequence.values) * step
    last = max(0.0, length - options.window_seconds)
    starts = np.arange(0, last + 1e-6, options.step_seconds)
    if last - starts[-1] >= options.step_seconds / 2:
        starts = np.append(starts, last)
    ends = np.append(starts[:-1] + options.window_seconds, length)
    return [
        Moment(video_id, first + float(start), first + float(end))
        for start, end in zip(starts, ends, strict=True)
    ]
