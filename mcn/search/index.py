"""The index of a data set: windows of its videos with their vectors, a part for each shard, and what joins the parts.

Conventions
-----------
- A video is cut into windows of `window_seconds` that start every `step_seconds`. The last one ends with the video,
  and is longer where less than half a step would be left over. A video that is shorter than a window is one window.
- The source `seen` holds the embeddings of the windows' pictures and `heard` those of their sound, for models that
  have these modalities. A window without an embedding is left out; a video without any is named with the reason.
- `index.json` names the parts, counts what they hold and says whether the index is approximate, with its measured
  recall. The lists of an approximate index lie in `approximate/` and are brought up to date, not made anew.
- A part depends on the model and on the features of its own shard alone.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcn.errors import UserError
from mcn.evaluation.annotations import Moment
from mcn.evaluation.embed import Embedded, EvaluatedModel, absence
from mcn.files import file_sha256, write_json
from mcn.layout import Dataset
from mcn.options.evaluation import EvaluationOptions
from mcn.options.search import SearchOptions
from mcn.search.approximate import build
from mcn.search.vectors import VectorIndex, Windows, write_part
from mcn.shards import FeatureStore, ShardReader

log = logging.getLogger(__name__)

VERSION = 1  # of the numbers of this stage
CATALOGUE = "index.json"
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
        "window_seconds": options.window_seconds,
        "step_seconds": options.step_seconds,
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
        found = windows_of(store, video_id, options)
        windows += found
        numbers += [number] * len(found)
    embedded = _embed(given, windows, video, options)
    kept = embedded.present
    for number, reason in zip(numbers, embedded.reasons, strict=True):
        errors[number] = errors[number] or reason
    with_window = np.unique(np.array(numbers, int)[kept])
    errors = ["" if number in with_window else error for number, error in enumerate(errors)]
    starts, ends = np.array([one[1:] for one in windows], float).reshape(-1, 2)[kept].T
    return Windows(ids, errors, np.array(numbers, int)[kept], starts, ends, embedded.vectors[kept])


def _embed(
    given: EvaluatedModel, windows: Sequence[Moment], video: bool, options: SearchOptions
) -> Embedded:
    if video:
        return given.embed_video(windows)
    return given.embed_audio(windows, max(16, round(100 * options.window_seconds)))  # of 10 ms


def windows_of(store: FeatureStore, video_id: str, options: SearchOptions) -> list[Moment]:
    """The windows of one video, none where it has no features."""
    sequence = store[video_id]
    if sequence.values is None:
        return []
    first, length = sequence.start_seconds, len(sequence.values) * sequence.step_seconds
    last = max(0.0, length - options.window_seconds)
    starts = np.arange(0, last + 1e-6, options.step_seconds)
    if last - starts[-1] >= options.step_seconds / 2:
        starts = np.append(starts, last)
    ends = np.append(starts[:-1] + options.window_seconds, length)
    return [
        Moment(video_id, first + float(start), first + float(end))
        for start, end in zip(starts, ends, strict=True)
    ]


def join(folder: Path, shards: int, options: SearchOptions, threads: int = 0) -> None:
    """Write `index.json` over the parts of a folder; above `exact_windows`, bring the approximate index up to date."""
    paths = [folder / f"{shard:05d}.parquet" for shard in range(shards)]
    sources: dict[str, Any] = {}
    for source in ShardReader(paths[0], "windows").column("source"):
        index = VectorIndex(paths, source)
        entry = {
            "windows": len(index),
            "videos": len(index.video_ids) - len(index.errors),
            "width": index.width,
            "approximate": len(index) > options.exact_windows,
        }
        if entry["approximate"]:
            made = build(index, folder / "approximate", threads)
            entry |= {key: made[key] for key in ("cells", "probes", "recall_at_10")}
        sources[source] = entry
    write_json(folder / CATALOGUE, {"version": VERSION, "parts": shards, "sources": sources})


def read_catalogue(folder: Path) -> Mapping[str, Any]:
    """What `join` wrote. Errors: `UserError` where there is none, or it is of another version."""
    path = folder / CATALOGUE
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = found["version"]
    except FileNotFoundError:
        cure = f"make it: `mcn run FOLDER --output DIR`, or snakemake --cores N {path}"
        raise UserError(f"no index {path}", "an index", cure) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        cure = f"delete it and run again (rm {path})"
        raise UserError(f"{path}: {error!r}", "an index", cure) from error
    if version != VERSION:
        got, cure = f"{path} of version {version}", "run `mcn run` again, which makes it anew"
        raise UserError(got, f"version {VERSION}", cure)
    return found
