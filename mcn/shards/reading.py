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
from mcn.shards.schemas import SCHEMA_VERSION, SCHEMAS


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
            header = self._header()
        self.kind: str = header["kind"]
        self.recipe: dict[str, Any] = header["recipe"]
        if header["schema_version"] != SCHEMA_VERSION:
            found = header["schema_version"]
            raise DamagedShard(path, f"schema version {found}, this code reads {SCHEMA_VERSION}")
        if not self._file.schema_arrow.equals(SCHEMAS.get(self.kind, pa.schema([]))):
            raise DamagedShard(path, f"its columns are not those of a shard of {self.kind}")
        if kind is not None and self.kind != kind:
            raise DamagedShard(path, f"a shard of {self.kind}, wanted one of {kind}")

    def _header(self) -> dict[str, Any]:
        """What the file says of itself. No checksum covers it, but parquet keeps it twice."""
        once, again = self._file.schema_arrow.metadata, self._file.metadata.metadata
        if not once or not again or b"mcn" not in once:
            raise ValueError("a parquet file, but not a shard of this pipeline")
        if once[b"mcn"] != again.get(b"mcn"):
            raise ValueError("its two headers differ")
        header = json.loads(once[b"mcn"])
        if not isinstance(header, dict) or set(header) != {"schema_version", "kind", "recipe"}:
            raise ValueError("not the header of a shard")
        return header

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
