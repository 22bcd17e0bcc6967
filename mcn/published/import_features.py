"""Published features of a data set into feature shards, one shard list at a time.

Conventions
-----------
- Rows come in the order of the shard list, every video of it once. A video without a file is `failed: not_found`
  (sound: `missing: no_audio`), a file without a usable matrix is failed with its code; the ledger counts them.
- Values are kept as they are, stored as float16, which is what was published except for CrossTask (float32); the
  recipe says which layout, stream, columns and step. NaN, infinity and values beyond float16 are failed: bad_values.
- A source is a folder of one file a video (`mcn.published.feature_files`), or a folder that `import features clips`
  made, whose `resnet152.parquet`, ... hold every clip of a published pickle.
- Memory holds one video.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mcn.errors import UserError, VideoError
from mcn.features.recipes import library_versions
from mcn.media.decode import read_shard_list
from mcn.published.feature_files import LAYOUTS, PublishedStream, find_file, read_matrix
from mcn.shards import FEATURE_SCHEMA, RowStore, ShardWriter, empty_row, feature_row

log = logging.getLogger(__name__)

VERSION = 1  # raised when the same files would give other rows
SOUND = ("logmel", "vggish")
CLIPS = "clips"


def import_shard(shard: Path, source: Path, layout: str, feature: str, output: Path) -> None:
    """One feature of the videos that a shard list names, from `source`, to a feature shard.

    layout: a key of `LAYOUTS`, or `clips`. Errors: `UserError` for an unknown layout or feature, or a missing source.
    """
    if not source.is_dir():
        cure = "correct published_features.directory, or put the files there"
        raise UserError(f"{source}, which is no folder", "a folder of published features", cure)
    if layout == CLIPS:
        rows = RowStore([source / f"{feature}.parquet"], "features")
        recipe, read = rows.recipe, _reader_of_clips(rows)
    else:
        stream = published_stream(layout, feature)
        recipe, read = _recipe(layout, feature, stream), _reader_of_files(source, feature, stream)
    counts: Counter[str] = Counter()
    with ShardWriter(output, FEATURE_SCHEMA, recipe) as writer:
        videos = read_shard_list(shard)
        for video in tqdm(videos, desc=f"import {feature}", unit="video", disable=None):
            row = read(video.video_id, str(video.path))
            counts[row["status"]] += 1
            writer.write(row)
    log.info("%s of %s: %s", feature, source, dict(counts) or "no videos")


def published_stream(layout: str, feature: str) -> PublishedStream:
    """The stream of a layout; `UserError` naming those that there are."""
    if layout not in LAYOUTS:
        raise UserError(
            f"layout {layout!r}", f"one of {', '.join([*LAYOUTS, CLIPS])}", "choose one"
        )
    if feature not in LAYOUTS[layout]:
        known = ", ".join(LAYOUTS[layout])
        raise UserError(f"{feature} of layout {layout}", f"one of {known}", "choose one")
    return LAYOUTS[layout][feature]


def _reader_of_files(
    source: Path, feature: str, stream: PublishedStream
) -> Callable[[str, str], dict[str, Any]]:
    def read(video_id: str, path: str) -> dict[str, Any]:
        try:
            found = find_file(source, video_id, path, stream)
            return matrix_row(video_id, read_matrix(found, stream), stream.step_seconds)
        except VideoError as error:
            return failed_row(video_id, feature, error)

    return read


def _reader_of_clips(rows: RowStore) -> Callable[[str, str], dict[str, Any]]:
    def read(video_id: str, path: str) -> dict[str, Any]:
        if video_id in rows:
            return dict(rows[video_id])
        error = VideoError("not_found", "not in the published file")
        return empty_row(FEATURE_SCHEMA, video_id, "failed", str(error))

    return read


def matrix_row(
    video_id: str, values: np.ndarray, step_seconds: float, start_seconds: float = 0.0
) -> dict[str, Any]:
    """A feature row of (T, D) numbers of any type; `VideoError` where they are no numbers that float16 can hold."""
    if values.dtype.kind not in "fiu":
        raise VideoError("bad_shape", f"{values.dtype}, wanted numbers")
    try:
        return feature_row(video_id, values, start_seconds, step_seconds)
    except ValueError as error:
        raise VideoError("bad_values", str(error)) from error


def failed_row(video_id: str, feature: str, error: VideoError) -> dict[str, Any]:
    """The row of a video without this feature: sound that is not there is `missing`, everything else `failed`."""
    if feature in SOUND and error.code == "not_found":
        silent = VideoError("no_audio", error.message)
        return empty_row(FEATURE_SCHEMA, video_id, "missing", str(silent))
    return empty_row(FEATURE_SCHEMA, video_id, "failed", str(error))


def _recipe(layout: str, feature: str, stream: PublishedStream) -> dict[str, Any]:
    columns = list(stream.columns) if stream.columns else None
    return {
        "feature": feature,
        "version": VERSION,
        "published": {"layout": layout, "columns": columns, "step_seconds": stream.step_seconds},
        "libraries": library_versions("numpy"),
    }
