"""Vectors of windows of videos, memory-mapped, and the exact nearest windows of a query.

Conventions
-----------
- A part holds the windows of one shard of a data set, in the form of `mcn.shards.shard.WINDOW_SCHEMA`: a row for each
  source of answers, the vectors float16 and of unit length, so that a dot product is a cosine. Parts are written and
  replaced alone: a data set that grows by one shard gets one more part.
- float16 rather than int8: the scores are those of float32 to 0.001, and faiss compares 500,000 windows of width 384
  in 46 ms on two cores where int8 takes 31 ms.
- Exact search compares a query with every window: with faiss where it is installed and the index is large, with NumPy
  otherwise. The scores of both agree to rounding. Equal scores come in the order of the windows.
- A window without a vector is not in the index; videos without any are named with the reason. A part without any
  window may know neither the width of vectors nor the encoder that nobody asked.
"""

from __future__ import annotations

import importlib
import importlib.util
import mmap
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from mcn.errors import DamagedShard, UserError
from mcn.shards import ShardReader
from mcn.shards.pages import page_of, value_in_page
from mcn.shards.schemas import WINDOW_SCHEMA
from mcn.shards.shard import ShardWriter

BLOCK_ROWS = 8192  # windows compared at a time with NumPy
FAISS_ROWS = 20_000  # windows from which loading them into faiss pays
MOST_BYTES = 2**31 - 2**20  # of the vectors of a part, which are one page of a parquet file


@dataclass(frozen=True)
class Windows:
    """N windows and their vectors.

    video_ids: the videos of a part; errors: why each has no window, '' where it has; videos: (N,) rows of video_ids;
    starts, ends: (N,) seconds from container start; vectors: (N, D), rows that are not zero.
    """

    video_ids: Sequence[str]
    errors: Sequence[str]
    videos: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    vectors: np.ndarray


class Found(NamedTuple):
    """The best windows of one query, best first: numbers of windows (k,), -1 for none, and their cosines (k,)."""

    rows: np.ndarray
    scores: np.ndarray


def write_part(path: Path, sources: Mapping[str, Windows], recipe: dict[str, Any]) -> None:
    """Write the windows of one shard, source by source; vectors are brought to unit length.

    Errors: `UserError` for more vectors than one part can hold; ValueError for vectors that are zero or not finite.
    """
    with ShardWriter(path, WINDOW_SCHEMA, recipe) as writer:
        for source, windows in sources.items():
            vectors = _unit(windows.vectors)
            if vectors.nbytes > MOST_BYTES:
                got = f"{len(vectors)} windows of width {vectors.shape[1]} in one shard"
                cure = "raise the data set's `shards`"
                raise UserError(got, f"at most {MOST_BYTES >> 20} MB of vectors a shard", cure)
            writer.write(
                {
                    "source": source,
                    "video_ids": list(windows.video_ids),
                    "errors": list(windows.errors),
                    "videos": np.asarray(windows.videos, np.int32),
                    "starts": np.asarray(windows.starts, np.float64),
                    "ends": np.asarray(windows.ends, np.float64),
                    "width": vectors.shape[1],
                    "vectors": vectors.tobytes(),
                }
            )


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of unit length as little-endian float16."""
    lengths = np.linalg.norm(np.asarray(vectors, np.float32), axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError("a window whose vector is zero or not finite")
    return np.ascontiguousarray(vectors / lengths, "<f2")


class Part:
    """One source of a part, mapped: its windows, and `vectors` (N, D) float16, a read-only view of the file."""

    def __init__(self, path: Path, source: str) -> None:
        reader = ShardReader(path, "windows")
        self.path, self.recipe = path, reader.recipe
        sources = reader.column("source")
        if source not in sources:
            raise UserError(f"{path} has {', '.join(sources)}", source, "make it again: delete it")
        group = sources.index(source)
        names = [name for name in WINDOW_SCHEMA.names if name != "vectors"]
        row = {name: reader.columns(name).column(0).chunk(0)[group] for name in names}
        self.video_ids: list[str] = row["video_ids"].as_py()
        self.errors: list[str] = row["errors"].as_py()
        self.videos, self.starts, self.ends = (
            row[name].values.to_numpy() for name in ("videos", "starts", "ends")
        )
        self.vectors = self._map(group, row["width"].as_py())

    def _map(self, group: int, width: int) -> np.ndarray:
        metadata = pq.read_metadata(self.path)
        chunk = metadata.row_group(group).column(metadata.schema.names.index("vectors"))
        with open(self.path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        size = 2 * len(self.videos) * width
        header, offset = value_in_page(data, chunk, size)
        self._page = page_of(header, chunk) if header else None
        if offset is None or self._page is None:
            raise DamagedShard(self.path, "its vectors are not laid out as they were written")
        self._data = data
        return np.frombuffer(data, "<f2", size // 2, offset).reshape(len(self.videos), width)

    def whole(self) -> np.ndarray:
        """`vectors`, for who reads all of them: compared with their CRC-32 once. Errors: `DamagedShard`."""
        if self._page is not None:
            page = memoryview(self._data)[self._page.start : self._page.end]
            if zlib.crc32(page) != self._page.crc:
                raise DamagedShard(self.path, "its vectors are not those that were written")
            self._page = None
        return self.vectors


class VectorIndex:
    """The windows of one source over the parts of a data set.

    video_ids: of all parts; errors: video id -> why it has no window; videos (N,): number of each window's video;
    starts, ends (N,): seconds from container start; width: D.
    """

    def __init__(self, paths: Sequence[Path], source: str) -> None:
        """Map the parts. Errors: `UserError` where parts are missing or were made in different ways, `DamagedShard`."""
        self.source = source
        self.parts = [Part(path, source) for path in paths]
        full = [part for part in self.parts if len(part.videos)]
        first = next(iter(full or self.parts), None)
        for part in full:
            assert first is not None
            if part.recipe != first.recipe:
                cure = f"delete the one that is out of date and run again (rm {part.path})"
                raise UserError(f"{first.path} and {part.path} differ in recipe", "one", cure)
        self.width = first.vectors.shape[1] if first else 0
        self.recipe: dict[str, Any] = first.recipe if first else {}
        self.video_ids = [one for part in self.parts for one in part.video_ids]
        self.errors = {
            one: error
            for part in self.parts
            for one, error in zip(part.video_ids, part.errors, strict=True)
            if error
        }
        before = np.cumsum([0, *(len(part.video_ids) for part in self.parts)])
        self.bounds = np.cumsum([0, *(len(part.videos) for part in self.parts)])
        empty = np.zeros(0)
        self.videos = np.concatenate(
            [
                empty.astype(np.int64),
                *(p.videos + b for p, b in zip(self.parts, before, strict=False)),
            ]
        )
        self.starts = np.concatenate([empty, *(part.starts for part in self.parts)])
        self.ends = np.concatenate([empty, *(part.ends for part in self.parts)])

    def __len__(self) -> int:
        return len(self.videos)

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of some windows: (n, D) float32."""
        found = np.empty((len(rows), self.width), np.float32)
        numbers = np.searchsorted(self.bounds, rows, side="right") - 1
        for number in np.unique(numbers):
            chosen = numbers == number
            found[chosen] = self.parts[number].vectors[rows[chosen] - self.bounds[number]]
        return found

    def of_video(self, video_id: str) -> np.ndarray:
        """Numbers of the windows of one video, in order."""
        numbers = [number for number, one in enumerate(self.video_ids) if one == video_id]
        return np.flatnonzero(np.isin(self.videos, numbers))

    def search(
        self, queries: np.ndarray, limit: int, allowed: np.ndarray | None = None
    ) -> list[Found]:
        """The `limit` windows of the highest cosine for each query (Q, D).

        allowed: bool (N,), windows that may answer. Errors: `UserError` for queries of another width.
        """
        queries = unit_queries(queries, self.width)
        limit = min(limit, len(self))
        if limit == 0:
            return [Found(np.zeros(0, np.int64), np.zeros(0, np.float32))] * len(queries)
        if allowed is not None:
            return self._among(queries, limit, np.flatnonzero(allowed))
        if len(self) >= FAISS_ROWS and has_faiss():
            scores, rows = self._flat.search(queries, limit)
            return [Found(*one) for one in zip(rows, scores, strict=True)]
        scores = np.concatenate([queries @ block.T for block in self._blocks()], axis=1)
        return [best_of(one, limit) for one in scores]

    def _among(self, queries: np.ndarray, limit: int, rows: np.ndarray) -> list[Found]:
        """The best of some windows."""
        if not len(rows):
            return [Found(rows, np.zeros(0, np.float32))] * len(queries)
        blocks = (rows[start : start + BLOCK_ROWS] for start in range(0, len(rows), BLOCK_ROWS))
        scores = np.concatenate([queries @ self.vectors(block).T for block in blocks], axis=1)
        best = [best_of(one, min(limit, len(rows))) for one in scores]
        return [Found(rows[found.rows], found.scores) for found in best]

    def _blocks(self) -> Iterator[np.ndarray]:
        for part in self.parts:
            vectors = part.whole()
            for start in range(0, len(vectors), BLOCK_ROWS):
                yield vectors[start : start + BLOCK_ROWS].astype(np.float32)

    @cached_property
    def _flat(self) -> Any:
        """A faiss index over a copy of the vectors, whose codes are their float16 bytes."""
        faiss = load_faiss()
        kind = faiss.ScalarQuantizer.QT_fp16
        flat = faiss.IndexScalarQuantizer(self.width, kind, faiss.METRIC_INNER_PRODUCT)
        whole = np.concatenate([part.whole() for part in self.parts if len(part.videos)])
        faiss.copy_array_to_vector(whole.reshape(-1).view(np.uint8), flat.codes)
        flat.ntotal, flat.is_trained = len(self), True
        return flat


def has_faiss() -> bool:
    """Whether faiss is installed (extra `search`)."""
    return importlib.util.find_spec("faiss") is not None


def load_faiss() -> Any:
    """The module faiss, whose types are not known."""
    return importlib.import_module("faiss")


def unit_queries(queries: np.ndarray, width: int) -> np.ndarray:
    """Queries of unit length, float32 (Q, D)."""
    queries = np.atleast_2d(np.asarray(queries, np.float32))
    if width and queries.shape[1] != width:
        cure = "embed it with the model that made the index, or make the index again"
        raise UserError(f"a query of width {queries.shape[1]}", f"width {width}", cure)
    lengths = np.linalg.norm(queries, axis=1, keepdims=True)
    return np.ascontiguousarray(queries / np.where(lengths > 0, lengths, 1))


def best_of(scores: np.ndarray, limit: int) -> Found:
    """The highest `limit` of scores (N,), equal ones in their order."""
    threshold = np.partition(scores, len(scores) - limit)[len(scores) - limit]
    rows = np.flatnonzero(scores >= threshold)
    rows = rows[np.argsort(-scores[rows], kind="stable")][:limit]
    return Found(rows, scores[rows])
