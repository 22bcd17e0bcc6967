"""Random access by video id over feature shards that are mapped from disk: for many reads of the same videos.

Conventions
-----------
- The first read of a video in a process compares its page with the page's CRC-32; every read is a view of the
  memory-mapped shard, so that a clip touches only its own rows. Shards laid out otherwise than `mcn.shards` writes them
  are read by the library, with checksums, every time.
- Where the videos lie is told by the summary of the shards (`mcn.shards.summary`), which large sets keep.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mcn.errors import UserError
from mcn.shards.pages import Page
from mcn.shards.schemas import FeatureSequence
from mcn.shards.store import FeatureStore
from mcn.shards.summary import summary_of

MAPPED_SHARDS = 256  # open maps a process


class MappedFeatures(FeatureStore):
    """`FeatureStore` for many reads of the same videos; values are read-only views, valid while the store lives.

    `errors`: video id -> 'code: words' of videos without features; `width`: D, 0 where no video has features;
    `fingerprint`: as in `mcn.shards.summary`.
    """

    def __init__(self, paths: Sequence[Path | str]) -> None:
        self.errors: dict[str, str] = {}
        self._verified: set[str] = set()
        self._maps: dict[int, mmap.mmap] = {}
        super().__init__(paths)

    def _open(self) -> None:
        rows, self._ends, self.recipe, self.fingerprint = summary_of(self.paths)
        ids = rows.column("video_id").to_pylist()
        self._rows = dict(zip(ids, range(len(ids)), strict=True))
        status = rows.column("status").combine_chunks().dictionary_encode()
        names = status.dictionary.to_pylist()
        self.status = dict(
            zip(ids, map(names.__getitem__, status.indices.to_pylist()), strict=True)
        )
        absent = rows.filter(pc.not_equal(rows.column("status"), "ok")).select(
            ["video_id", "error"]
        )
        self.errors = dict(zip(*absent.to_pydict().values(), strict=True))
        self._start, self._step, self._length, self._width = (
            _numbers(rows, name) for name in ("start_seconds", "step_seconds", "length", "width")
        )
        self._offset, *self._page = (
            _numbers(rows, name) for name in ("offset", "page_start", "page_end", "page_crc")
        )
        widths = dict(zip(self._width.tolist(), ids, strict=True))
        widths.pop(-1, None)
        if len(widths) > 1:
            found = ", ".join(f"{width} ({video_id})" for width, video_id in widths.items())
            got = f"{self.paths[0]} and its sibling shards: rows of widths {found}"
            raise UserError(got, "one width for all videos", "give features of one kind")
        self.width = next(iter(widths), 0)

    @property
    def log_mel(self) -> bool:
        """Whether rows are log-mel frames, by the recipe of the shards, rather than vectors of an audio network.

        Where a recipe names no encoder, the padding of the windows tells, or the name of published log-mels.
        """
        recipe = self.recipe
        if "encoder" in recipe:
            return bool(recipe["encoder"] == "logmel")
        return "padding" in recipe or recipe.get("feature") == "logmel"

    @property
    def of_clip(self) -> bool:
        """Whether log-mel rows are absolute levels, whose 0 dB is each clip's loudest value."""
        return bool(self.recipe.get("reference") == "clip")

    def span(self, video_id: str) -> tuple[float, float]:
        """Seconds from container start at which the features of a video begin and end."""
        row = self._rows[video_id]
        start = float(self._start[row])
        return start, start + int(self._length[row]) * float(self._step[row])

    def page(self, video_id: str) -> Page | None:
        """The page that holds the features of a video; None where it has no checksum, or the video no features."""
        start, end, crc = (int(numbers[self._rows[video_id]]) for numbers in self._page)
        return Page(start, end, crc) if end > 0 else None

    def __getitem__(self, video_id: str) -> FeatureSequence:
        if self._is_mapped(video_id) and self._is_whole(video_id):
            return self._mapped(video_id)
        return super().__getitem__(video_id)  # which raises what is wrong with a damaged one

    def unread(self, video_id: str) -> FeatureSequence:
        """What the store holds of a video, compared with no checksum: for those who ask for times and lengths alone."""
        return self._mapped(video_id) if self._is_mapped(video_id) else self[video_id]

    def _is_mapped(self, video_id: str) -> bool:
        return self.status[video_id] == "ok" and self._offset[self._rows[video_id]] >= 0

    def _mapped(self, video_id: str) -> FeatureSequence:
        row = self._rows[video_id]
        shape = int(self._length[row]), int(self._width[row])
        data = self._map(self._shard_of(row))
        values = np.frombuffer(data, "<f2", shape[0] * shape[1], int(self._offset[row]))
        times = float(self._start[row]), float(self._step[row])
        return FeatureSequence(video_id, "ok", "", *times, values.reshape(shape))

    def _is_whole(self, video_id: str) -> bool:
        """Whether the bytes of a video are those that were written; looked at once in a process."""
        if video_id not in self._verified:
            page = self.page(video_id)
            data = memoryview(self._map(self._shard_of(self._rows[video_id])))
            if page is None or zlib.crc32(data[page.start : page.end]) != page.crc:
                return False
            self._verified.add(video_id)
        return True

    def _map(self, shard: int) -> mmap.mmap:
        if shard not in self._maps:
            if len(self._maps) >= MAPPED_SHARDS:
                self._maps.pop(next(iter(self._maps)))  # closed when its last view goes
            with open(self.paths[shard], "rb") as file:
                self._maps[shard] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._maps[shard]


def _numbers(rows: pa.Table, name: str) -> np.ndarray:
    """A column of numbers, -1 where there is none."""
    return pc.fill_null(rows.column(name), -1).to_numpy()
