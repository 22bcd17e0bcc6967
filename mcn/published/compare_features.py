"""Two sets of one feature, ours and the published one, compared video by video: likeness and kind of difference.

Conventions
-----------
- Row i of one side is compared with row i of the other, up to the length of the shorter side; the lengths of both are
  reported. Arithmetic is float64.
- The cosine of a row of zeros with any other row is 0, that of two rows of zeros is 1. The cosine of a video is the
  mean over its rows; quantiles are taken over videos.
- The shift of a video is the k in -2..2 for which row i + k of the published side fits row i best.
- The offset share is |mean difference|^2 / mean |difference|^2 over rows scaled to unit length. It is 1 for an error
  that is the same everywhere (mean, pixel scale, channel order), and 0 for an error that depends on the content (crop,
  resize, time).
- The geometry is the linear CKA of the unit rows of both sides (Kornblith et al. 2019, arXiv 1905.00414). It is 1 where
  the rows lie alike up to rotation and scale, even where the columns mean other things, as happens with other weights
  of the same network.
- Memory holds one video of each side and at most `SAMPLE` rows.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mcn.errors import UserError, VideoError
from mcn.published.feature_files import find_file, published_stream, read_matrix
from mcn.shards import FeatureStore

log = logging.getLogger(__name__)

SHIFTS = (-2, -1, 0, 1, 2)
SAMPLE = 2000  # rows that offset share and geometry are taken on
ROWS_A_VIDEO = 20  # at most so many of them from one video


@dataclass(frozen=True)
class Sequence:
    """(T, D) float64 rows of one video, and the seconds between them."""

    values: np.ndarray
    step_seconds: float


@dataclass(frozen=True)
class VideoDifference:
    """One video: mean and least cosine, lengths in rows, mean norms of rows, best shift and the cosine there."""

    video_id: str
    cosine: float
    least_cosine: float
    lengths: tuple[int, int]
    norms: tuple[float, float]
    shift: int
    shifted_cosine: float


@dataclass
class Comparison:
    """All videos that both sides have, and what there is beside them.

    steps: seconds a row of each side; widths: numbers a row; unpaired: reason -> number of videos.
    """

    feature: str
    names: tuple[str, str]
    videos: list[VideoDifference] = field(default_factory=list)
    unpaired: dict[str, int] = field(default_factory=dict)
    steps: tuple[float, float] = (0.0, 0.0)
    widths: tuple[int, int] = (0, 0)
    offset_share: float = 0.0
    geometry: float = 0.0

    @property
    def cosines(self) -> np.ndarray:
        """(V,) mean cosine of each video."""
        return np.array([video.cosine for video in self.videos])


Reader = Callable[[str], Sequence]


def compare(ours: Path, published: Path, feature: str, layout: str = "howto100m") -> Comparison:
    """Compare every video of `ours` with the published one.

    Each path is a shard, a folder of shards (NNNNN.parquet), or a folder of published files of `layout`; `ours` must
    be shards, which know their videos. Errors: `UserError` for paths that are neither and where no video is on both
    sides, or their widths differ.
    """
    store = _shards(ours)
    if store is None:
        wanted = "a shard or a folder of shards, which name their videos"
        raise UserError(
            f"{ours}: no shards", wanted, "import them first: mcn import features shard"
        )
    left, right = _of_store(store), _reader(published, feature, layout)
    found = Comparison(feature, (str(ours), str(published)))
    unpaired: Counter[str] = Counter()
    sample = _Sample()
    for video_id in tqdm(sorted(store), desc="compare", unit="video", disable=None):
        try:
            pair = left(video_id), right(video_id)
        except VideoError as error:
            unpaired[error.code] += 1
            continue
        _require_one_width(found, video_id, *pair)
        found.steps = pair[0].step_seconds, pair[1].step_seconds
        found.videos.append(difference(video_id, pair[0].values, pair[1].values))
        sample.add(pair[0].values, pair[1].values)
    found.unpaired = dict(sorted(unpaired.items()))
    if not found.videos:
        raise UserError(f"no video on both sides ({found.unpaired})", "at least one", "check ids")
    found.offset_share, found.geometry = sample.offset_share(), sample.geometry()
    return found


def _require_one_width(found: Comparison, video_id: str, ours: Sequence, theirs: Sequence) -> None:
    found.widths = ours.values.shape[1], theirs.values.shape[1]
    if found.widths[0] != found.widths[1]:
        got = f"{video_id}: {found.widths[0]} numbers a row beside {found.widths[1]}"
        raise UserError(got, "one and the same width", "compare the same feature of both")


def _shards(path: Path) -> FeatureStore | None:
    paths = [path] if path.suffix == ".parquet" else sorted(path.glob("[0-9]" * 5 + ".parquet"))
    return FeatureStore(paths) if paths else None


def _of_store(store: FeatureStore) -> Reader:
    def read(video_id: str) -> Sequence:
        if video_id not in store:
            raise VideoError("not_found", "in no shard")
        sequence = store[video_id]
        if sequence.values is None:
            raise VideoError(sequence.error.partition(":")[0])
        return Sequence(sequence.values.astype(np.float64), sequence.step_seconds)

    return read


def _reader(path: Path, feature: str, layout: str) -> Reader:
    store = _shards(path)
    if store is not None:
        return _of_store(store)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder", "shards or published files", "correct the path")
    stream = published_stream(layout, feature)

    def read(video_id: str) -> Sequence:
        values = read_matrix(find_file(path, video_id, video_id, stream), stream)
        return Sequence(values.astype(np.float64), stream.step_seconds)

    return read


def difference(video_id: str, ours: np.ndarray, theirs: np.ndarray) -> VideoDifference:
    """Measure one video: (T, D) beside (T', D)."""
    rows = min(len(ours), len(theirs))
    cosines = row_cosines(ours[:rows], theirs[:rows])
    shifted = dict(_shifted(ours, theirs))
    best = max(shifted, key=lambda shift: (shifted[shift], -abs(shift)))
    norms = tuple(float(np.linalg.norm(side, axis=1).mean()) for side in (ours, theirs))
    return VideoDifference(
        video_id,
        float(cosines.mean()),
        float(cosines.min()),
        (len(ours), len(theirs)),
        (norms[0], norms[1]),
        best,
        shifted[best],
    )


def row_cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """(T, D), (T, D) -> (T,)."""
    lengths = np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1)
    products, scale = (ours * theirs).sum(axis=1), lengths[0] * lengths[1]
    both_zero = (lengths[0] == 0) & (lengths[1] == 0)
    return np.where(scale > 0, products / np.where(scale > 0, scale, 1), both_zero.astype(float))


def _shifted(ours: np.ndarray, theirs: np.ndarray) -> Iterator[tuple[int, float]]:
    """(k, mean cosine of row i of ours and row i + k of theirs) for every shift that leaves a row."""
    for shift in SHIFTS:
        left, right = ours[max(0, -shift) :], theirs[max(0, shift) :]
        rows = min(len(left), len(right))
        if rows:
            yield shift, float(row_cosines(left[:rows], right[:rows]).mean())


class _Sample:
    """Rows of both sides, spread over the videos."""

    def __init__(self) -> None:
        self.ours: list[np.ndarray] = []
        self.theirs: list[np.ndarray] = []
        self.rows = 0

    def add(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        rows = min(len(ours), len(theirs))
        count = min(rows, ROWS_A_VIDEO, SAMPLE - self.rows)
        if count > 0:
            chosen = np.linspace(0, rows - 1, count).round().astype(int)
            self.ours.append(ours[chosen])
            self.theirs.append(theirs[chosen])
            self.rows += count

    def offset_share(self) -> float:
        """|mean difference|^2 / mean |difference|^2 of unit rows; 0 where nothing differs."""
        differences = _unit(np.concatenate(self.theirs)) - _unit(np.concatenate(self.ours))
        whole = float(np.square(differences).sum(axis=1).mean())
        return float(np.square(differences.mean(axis=0)).sum() / whole) if whole > 0 else 0.0

    def geometry(self) -> float:
        """Linear CKA of the two sides, by the rows' inner products; 0 where a side does not vary."""
        grams = [_centred_gram(_unit(np.concatenate(side))) for side in (self.ours, self.theirs)]
        scale = float(np.linalg.norm(grams[0]) * np.linalg.norm(grams[1]))
        return float((grams[0] * grams[1]).sum() / scale) if scale > 0 else 0.0


def _centred_gram(rows: np.ndarray) -> np.ndarray:
    centred = rows - rows.mean(axis=0)
    return centred @ centred.T


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def worst_videos(comparison: Comparison, count: int) -> list[VideoDifference]:
    """Videos of the least cosine, the least first."""
    return sorted(comparison.videos, key=lambda video: (video.cosine, video.video_id))[:count]
