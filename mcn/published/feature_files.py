"""Feature files as published, one file a video and stream, read into matrices.

Conventions
-----------
- `<id>_2d.npz|npy`: (T, 2048) ResNet-152, one row a second; `<id>_3d.npz|npy`: (T, 2048) ResNeXt-101, one row for 16
  frames at 24 frames a second (antoine77340/video_feature_extractor). `<id>_spec.npz`, `<id>.npz`: (40, N) log-mel,
  one column every 10 ms (roudimit/AVLnet). `<id>.npy` of CrossTask: (T, 3200), one row a second, columns 0-1023 I3D,
  1024-3071 ResNet-152, 3072-3199 VGGish (DmZhukov/CrossTask).
- A `.npz` holds one array, or names it `features` or `arr_0`. Arrays of objects, which are pickles, are refused.
- A file is looked for by the video's id below the folder, and by the folders that end the manifest's path of it:
  `a/b/ID.mp4` is found as `ID_2d.npz`, `b/ID_2d.npz`, `a/b/ID_2d.npz`, `ID/ID_2d.npz`, ...
- What a video's file is worth is a `VideoError` with a code of the ledger, never a stop.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from mcn.errors import VideoError

ARRAY_NAMES = ("features", "arr_0")
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
CROSSTASK_WIDTH = 3200


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
    values = _load(path)
    if values.ndim == 2 and stream.transposed:
        values = values.T
    if values.ndim != 2:
        raise VideoError("bad_shape", f"{path} has shape {values.shape}, wanted a matrix")
    if 0 in values.shape:
        raise VideoError("no_frames", f"{path} has shape {values.shape}")
    if stream.columns:
        if values.shape[1] != CROSSTASK_WIDTH:
            raise VideoError("bad_shape", f"{path} has width {values.shape[1]}, wanted 3200")
        values = values[:, slice(*stream.columns)]
    return values


def _load(path: Path) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded as archive:
            names = [name for name in ARRAY_NAMES if name in archive.files]
            if not names and len(archive.files) != 1:
                found = ", ".join(archive.files) or "nothing"
                raise ValueError(f"holds {found}, wanted one array, or features or arr_0")
            return np.asarray(archive[(names or archive.files)[0]])
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise VideoError("unreadable", f"{path}: {error}") from error
