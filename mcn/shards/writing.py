"""Atomic, checksummed writing of a shard."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mcn.files import atomic_path, canonical_json
from mcn.shards.schemas import SCHEMA_VERSION


class ShardWriter:
    """Write one shard atomically; a context manager. Nothing is left behind when the body raises.

    Args: `path` of the shard, one of the schemas above, `recipe` (JSON values only).
    """

    def __init__(self, path: Path | str, schema: pa.Schema, recipe: dict[str, Any]) -> None:
        self.path = Path(path)
        kind = schema.metadata[b"kind"].decode()
        header = {"schema_version": SCHEMA_VERSION, "kind": kind, "recipe": recipe}
        self.schema = schema.with_metadata({"mcn": canonical_json(header)})
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> ShardWriter:
        with self._stack:
            temporary = self._stack.enter_context(atomic_path(self.path))
            self._writer = self._stack.enter_context(
                pq.ParquetWriter(
                    temporary,
                    self.schema,
                    compression="none",
                    use_dictionary=False,
                    write_statistics=False,  # of blobs they are blobs, held until the file is closed
                    write_page_checksum=True,
                )
            )
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one video; ValueError where the row's columns are not the schema's."""
        if set(row) != set(self.schema.names):
            raise ValueError(f"row has {sorted(row)}, the schema wants {sorted(self.schema.names)}")
        self._writer.write_table(pa.Table.from_pylist([dict(row)], schema=self.schema))
