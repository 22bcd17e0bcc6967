"""Published features: files of one video and stream, read into matrices and into feature shards.

Conventions
-----------
- `<id>_2d.npz|npy`: (T, 2048) ResNet-152, one row a second; `<id>_3d.npz|npy`: (T, 2048) ResNeXt-101, one row for 16
  frames at 24 frames a second (antoine77340/video_feature_extractor). `<id>_spec.npz`, `<id>.npz`: (40, N) log-mel,
  one column every 10 ms (roudimit/AVLnet). `<id>.npy` of CrossTask: (T, 3200), one row a second, columns 0-1023 I3D,
  1024-3071 ResNet-152, 3072-3199 VGGish (DmZhukov/CrossTask).
- Arrays are read by `mcn.sources.arrays`, within its bounds.
- A file is looked for by the id of the video below the folder, and below the last folders of the path that the manifest
  gives: the features of `a/b/ID.mp4` are found as `ID_2d.npz`, `b/ID_2d.npz`, `a/b/ID_2d.npz`, `ID/ID_2d.npz`, ...
- A file that cannot be used is a `VideoError` with a code of the ledger, and never stops an import.
- A shard has the videos of its shard list, each once and in the same order. A video without a file is `failed:
  not_found` (sound: `missing: no_audio`), a file without a usable matrix is failed with its code; the ledger counts
  both.
- What the first usable file of a shard has is the width of all; a file of another width is failed: bad_shape. Where
  whole shards differ, training and evaluation name both widths.
- Values are kept as they are and stored as float16, which is what was published except for CrossTask (float32); the
  recipe says which layout, stream, columns and step. NaN, infinity and values beyond float16 are failed: bad_values.
- A source is a folder of such files, or a folder that `import features clips` made, whose `resnet152.parquet`, ... hold
  every clip of a published pickle. Memory holds one video.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from tqdm import tqdm

from mcn.errors import UserError, VideoError
from mcn.features.registry import library_versions
from mcn.media.decode import read_shard_list
from mcn.shards import FEATURE_SCHEMA, RowStore, ShardWriter, empty_row, feature_row
from mcn.shards.origin import list_digest
from mcn.sources.arrays import load_array

log = logging.getLogger(__name__)

VERSION = 1  # raised when the same files would give other rows
SOUND = ("logmel", "vggish")
CLIPS = "clips"
MOST_FOLDERS = 4  # folders of the manifest's path that may come before the file's name


@dataclass(frozen=True)
class PublishedStream:
    """One stream of a layout: endings of its files, seconds a row, columns, and whether time runs along columns."""

    endings: tuple[str, ...]
    step_seconds: float
    columns: tuple[int, int] | None = None
    transposed: bool = False


_SECOND, _CHUNK, _MEL = 1.0, 16 / 24, 0.01
LAYOUTS: dict[str, dict[str, PublishedStream]] = {
    "howto100m": {
        "resnet152": PublishedStream(("_2d.npz", "_2d.npy"), _SECOND),
        "resnext101": PublishedStream(("_3d.npz", "_3d.npy"), _CHUNK),
        "logmel": PublishedStream(("_spec.npz", ".npz"), _MEL, transposed=True),
    },
    "crosstask": {
        "i3d": PublishedStream((".npy",), _SECOND, (0, 1024)),
        "resnet152": PublishedStream((".npy",), _SECOND, (1024, 3072)),
        "vggish": PublishedStream((".npy",), _SECOND, (3072, 3200)),
    },
}
CROSSTASK_WIDTH, MEL_BANDS = 3200, 40


def find_file(folder: Path, video_id: str, path: str, stream: PublishedStream) -> Path:
    """The stream's file of a video; `VideoError` not_found with the names that were tried."""
    for base in _bases(video_id, path):
        for ending in stream.endings:
            if (found := folder / f"{base}{ending}").is_file():
                return found
    tried = " or ".join(f"{video_id}{ending}" for ending in stream.endings)
    raise VideoError("not_found", f"no {tried} below {folder}")


def _bases(video_id: str, path: str) -> Iterator[str]:
    """Names without ending, below the folder: the id, behind more and more of the folders of the manifest's path."""
    yield video_id
    yield f"{video_id}/{video_id}"
    folders = [part for part in PurePath(path).parent.parts if part not in ("/", "..")]
    for count in range(1, min(len(folders), MOST_FOLDERS) + 1):
        base = "/".join([*folders[-count:], video_id])
        yield base
        yield f"{base}/{video_id}"


def read_matrix(path: Path, stream: PublishedStream) -> np.ndarray:
    """(T, D) in the file's own type; `VideoError` unreadable, no_frames or bad_shape."""
    try:
        values = load_array(path)
    except (OSError, ValueError) as error:
        raise VideoError("unreadable", f"{path}: {error}") from error
    if 0 in values.shape:
        raise VideoError("no_frames", f"{path} has shape {values.shape}")
    if stream.transposed:
        values = log_mel_rows(values, str(path))
    if values.ndim != 2:
        raise VideoError("bad_shape", f"{path} has shape {values.shape}, wanted a matrix")
    if stream.columns:
        if values.shape[1] != CROSSTASK_WIDTH:
            raise VideoError("bad_shape", f"{path} has width {values.shape[1]}, wanted 3200")
        values = values[:, slice(*stream.columns)]
    return values


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
    with ShardWriter(output, FEATURE_SCHEMA, recipe, inputs=list_digest(shard)) as writer:
        videos = read_shard_list(shard)
        for video in tqdm(videos, desc=f"import {feature}", unit="video", disable=None):
            row = read(video.video_id, str(video.place))
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
    usual = 0  # width of the first video

    def read(video_id: str, path: str) -> dict[str, Any]:
        nonlocal usual
        try:
            found = find_file(source, video_id, path, stream)
            row = matrix_row(video_id, read_matrix(found, stream), stream.step_seconds)
            usual = usual or row["width"]
            if row["width"] != usual:
                wanted = f"{usual} as the videos before it"
                raise VideoError("bad_shape", f"{found} has width {row['width']}, wanted {wanted}")
            return row
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


def log_mel_rows(values: np.ndarray, source: str) -> np.ndarray:
    """(40, T) -> (T, 40); `VideoError` not_found without a column, bad_shape for anything but 40 bands."""
    if values.ndim == 2 and 0 in values.shape:
        raise VideoError("not_found", f"{source} of shape {values.shape}")
    if values.ndim != 2 or len(values) != MEL_BANDS:
        raise VideoError(
            "bad_shape", f"{source} of shape {values.shape}, wanted ({MEL_BANDS}, columns)"
        )
    return values.T


def matrix_row(
    video_id: str, values: np.ndarray, step_seconds: float, start_seconds: float = 0.0
) -> dict[str, Any]:
    """A feature row of (T, D) numbers of any type; `VideoError` where they are no numbers that float16 can hold."""
    if values.dtype.kind not in "fiu":
        raise VideoError("bad_shape", f"{values.dtype}, wanted numbers")
    if values.ndim != 2 or 0 in values.shape:
        raise VideoError("bad_shape", f"shape {values.shape}, wanted a matrix of rows")
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
