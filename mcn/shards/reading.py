"""Verified reading of a shard."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mcn.errors import DamagedShard, UserError
from mcn.shards.schemas import SCHEMA_VERSION


class ShardReader:
    """Read one shard, verifying checksums.

    Errors: `DamagedShard` for anything that is not an intact shard of `kind` (None: of any kind); a missing file
    is a `UserError` that says how to make it.
    """

    def __init__(self, path: Path | str, kind: str | None = None) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise UserError(f"no file {path}", "a shard", f"make it: snakemake --cores N {path}")
        with self._damage():
            self._file = pq.ParquetFile(self.path, page_checksum_verification=True)
            raw = (self._file.schema_arrow.metadata or {}).get(b"mcn")
        if raw is None:
            raise DamagedShard(path, "a parquet file, but not a shard of this pipeline")
        header = json.loads(raw)
        self.kind: str = header.get("kind", "")
        self.recipe: dict[str, Any] = header.get("recipe", {})
        if header.get("schema_version") != SCHEMA_VERSION:
            found = header.get("schema_version")
            raise DamagedShard(path, f"schema version {found}, this code reads {SCHEMA_VERSION}")
        if kind is not None and self.kind != kind:
            raise DamagedShard(path, f"a shard of {self.kind}, wanted one of {kind}")

    @contextlib.contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DamagedShard(self.path, str(error)) from error

    def __len__(self) -> int:
        return int(self._file.num_row_groups)

    def column(self, name: str) -> list[Any]:
        """One column over all rows."""
        with self._damage():
            return list(self._file.read(columns=[name]).column(0).to_pylist())

    @property
    def video_ids(self) -> list[str]:
        """Ids in row order."""
        return self.column("video_id")

    def read(self, index: int) -> dict[str, Any]:
        """Row `index` as a dict."""
        with self._damage():
            return dict(self._file.read_row_group(index).to_pylist()[0])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self.read(index) for index in range(len(self)))

    def close(self) -> None:
        self._file.close()
