"""Random access by video id over the shards of a data set, a row at a time, with checksums.

Conventions: all shards have one recipe, and a video stands in one of them. At most `OPEN_SHARDS` files are open in a
process.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mcn.errors import UserError
from mcn.shards.origin import require_inputs
from mcn.shards.schemas import FeatureSequence, feature_sequence
from mcn.shards.shard import ShardReader

OPEN_SHARDS = 128


class RowStore(Mapping[str, Any]):
    """Random access by video id over many shards of one kind; safe in forked loader processes.

    Errors: `UserError` where two shards hold the same id or were made by different recipes.
    """

    heads: Sequence[str] = ("video_id", "status")  # columns that are read to open the shards

    def __init__(self, paths: Sequence[Path | str], kind: str) -> None:
        self.paths, self.kind = [Path(path) for path in paths], kind
        self._readers: dict[tuple[int, int], ShardReader] = {}
        self._rows: dict[str, int] = {}  # counted over all shards
        self._ends: list[int] = []  # rows up to the end of each shard
        self.status: dict[str, str] = {}
        self.recipe: dict[str, Any] = {}
        self._open()

    def _open(self) -> None:
        """Note the rows and the recipe of all shards."""
        for path in self.paths:
            reader = ShardReader(path, self.kind)
            require_inputs(path, reader.origin)
            if self._ends and reader.recipe != self.recipe:
                cure = f"delete the one that is out of date and run snakemake again (rm {path})"
                raise UserError(f"{self.paths[0]} and {path} differ in recipe", "one recipe", cure)
            self.recipe = reader.recipe
            heads = reader.columns(*self.heads)
            columns = (heads.column(name).to_pylist() for name in RowStore.heads)
            for video_id, status in zip(*columns, strict=True):
                if video_id in self._rows:
                    other = self.paths[self._shard_of(self._rows[video_id])]
                    cure = f"delete both and run snakemake again (rm {other} {path})"
                    raise UserError(f"{video_id} in {other} and {path}", "each video once", cure)
                self._rows[video_id], self.status[video_id] = len(self._rows), status
            self._ends.append(len(self._rows))
            self._note(reader, heads)
            reader.close()

    def _note(self, reader: ShardReader, heads: pa.Table) -> None:
        """What else a subclass wants to know of a shard that is being opened."""

    def _shard_of(self, row: int) -> int:
        return bisect_right(self._ends, row)

    def _row(self, video_id: str) -> dict[str, Any]:
        row = self._rows[video_id]
        shard = self._shard_of(row)
        key = os.getpid(), shard
        if key not in self._readers:
            if len(self._readers) >= OPEN_SHARDS:
                self._readers.pop(next(iter(self._readers))).close()
            self._readers[key] = ShardReader(self.paths[shard], self.kind)
        return self._readers[key].read(row - (self._ends[shard - 1] if shard else 0))

    def __getitem__(self, video_id: str) -> Any:
        return self._row(video_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class FeatureStore(RowStore):
    """`RowStore` of feature shards: values are `FeatureSequence`."""

    def __init__(self, paths: Sequence[Path | str]) -> None:
        super().__init__(paths, "features")

    def __getitem__(self, video_id: str) -> FeatureSequence:
        return feature_sequence(self._row(video_id))
