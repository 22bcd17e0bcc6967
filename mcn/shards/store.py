"""Random access by video id over the shards of a data set, a row at a time, with checksums.

Conventions: all shards have one recipe, and a video stands in one of them. At most `OPEN_SHARDS` files are open in a
process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mcn.errors import UserError
from mcn.shards.origin import require_inputs
from mcn.shards.schemas import FeatureSequence, feature_sequence
from mcn.shards.shard import ShardReader

OPEN_SHARDS = 128


class RowStore(Mapping[str, Any]):
    """Random access by video id over many shards of one kind; safe in forked loader processes.

    Errors: `UserError` where two shards hold the same id or were made by different recipes.
    """

    def __init__(self, paths: Sequence[Path | str], kind: str) -> None:
        self.paths, self.kind = [Path(path) for path in paths], kind
        self._readers: dict[tuple[int, int], ShardReader] = {}
        self._where: dict[str, tuple[int, int]] = {}
        self.status: dict[str, str] = {}
        self.recipe: dict[str, Any] = {}
        for shard, path in enumerate(self.paths):
            self._index(shard, path)

    def _index(self, shard: int, path: Path) -> None:
        reader = ShardReader(path, self.kind)
        require_inputs(path, reader.origin)
        if shard and reader.recipe != self.recipe:
            cure = f"delete the one that is out of date and run snakemake again (rm {path})"
            raise UserError(f"{self.paths[0]} and {path} differ in recipe", "one recipe", cure)
        self.recipe = reader.recipe
        for row, (video_id, status) in enumerate(
            zip(reader.video_ids, reader.column("status"), strict=True)
        ):
            if video_id in self._where:
                other = self.paths[self._where[video_id][0]]
                cure = f"delete both and run snakemake again (rm {other} {path})"
                raise UserError(f"{video_id} in {other} and {path}", "each video once", cure)
            self._where[video_id], self.status[video_id] = (shard, row), status
        reader.close()

    def _row(self, video_id: str) -> dict[str, Any]:
        shard, row = self._where[video_id]
        key = os.getpid(), shard
        if key not in self._readers:
            if len(self._readers) >= OPEN_SHARDS:
                self._readers.pop(next(iter(self._readers))).close()
            self._readers[key] = ShardReader(self.paths[shard], self.kind)
        return self._readers[key].read(row)

    def __getitem__(self, video_id: str) -> Any:
        return self._row(video_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


class FeatureStore(RowStore):
    """`RowStore` of feature shards: values are `FeatureSequence`."""

    def __init__(self, paths: Sequence[Path | str]) -> None:
        super().__init__(paths, "features")

    def __getitem__(self, video_id: str) -> FeatureSequence:
        return feature_sequence(self._row(video_id))
