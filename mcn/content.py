"""Digests of a table's columns and metadata: kept in the file, and asked for by whoever reads it.

Conventions
-----------
- Checksums of pages say that a page is whole, not that it is this column's; and nothing covers the end of a parquet
  file, where names, places and metadata stand. So a table of ours holds, under the metadata key `mcn_content`, a sha256
  of each of its columns and, under the name '', of its other metadata.
- A digest is over the values alone, however they are cut into parts. A reader of some columns compares those.
- The schema, which a parquet file keeps twice, says under `mcn_checked` that digests must be there; tables without it
  (of other people, or of earlier versions) are read as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

KEY, MARK = b"mcn_content", b"mcn_checked"
_NOT_OURS = (KEY, b"ARROW:schema")


class ContentDigest:
    """The digests of a table that comes part by part."""

    def __init__(self) -> None:
        self._running: dict[str, dict[str, Any]] = {}

    def add(self, part: pa.Table | pa.RecordBatch) -> None:
        """The next rows."""
        for name in part.schema.names:
            running = self._running.setdefault(name, defaultdict(hashlib.sha256))
            column = part.column(name)
            for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                for level, values in _levels(chunk):
                    if len(values):
                        running[level].update(values)

    def columns(self) -> dict[str, str]:
        """Column -> hexadecimal digest of its values so far."""
        found = {}
        for name, running in self._running.items():
            parts = sorted((level, one.hexdigest()) for level, one in running.items())
            found[name] = _sha256(parts)
        return found

    def record(self, schema: pa.Schema, metadata: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """What a finished table of `schema` notes of itself; metadata: all that it has."""
        self.add(pa.Table.from_batches([], schema))  # a table without rows has columns too
        return {KEY: json.dumps({**self.columns(), "": _metadata(metadata)}).encode()}

    def check(self, schema: pa.Schema, noted: Mapping[bytes, bytes] | None) -> None:
        """Compare what was read with what the file notes. Errors: ValueError.

        schema: of the file, as its first copy says; noted: the file's own metadata.
        """
        noted = noted or {}
        if MARK not in (schema.metadata or {}) and MARK not in noted and KEY not in noted:
            return
        wanted = json.loads(noted.get(KEY, b"{}"))
        found = {**self.columns(), "": _metadata(noted)}
        wrong = [name for name, digest in found.items() if wanted.get(name) != digest]
        if wrong or set(wanted) != {*schema.names, ""}:
            names = ", ".join(name or "metadata" for name in wrong) or "its columns"
            raise ValueError(f"not the content that was written: {names}")


def marked(schema: pa.Schema) -> pa.Schema:
    """`schema` with the note that digests must be there."""
    kept = {key: value for key, value in (schema.metadata or {}).items() if key not in _NOT_OURS}
    return schema.with_metadata({**kept, MARK: b"1"})


def _metadata(metadata: Mapping[bytes, bytes]) -> str:
    kept = sorted((key, value) for key, value in metadata.items() if key not in _NOT_OURS)
    return _sha256([[key.decode("latin-1"), value.decode("latin-1")] for key, value in kept])


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _levels(array: pa.Array, depth: str = "") -> Iterator[tuple[str, Any]]:
    """(level, bytes) of an array's values: which are there, how long each is, and what they hold, by its type."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    yield f"{depth}valid", _bytes(array.is_valid())
    array = array.drop_null()
    if pa.types.is_list(kind):
        yield f"{depth}lengths", _bytes(pc.list_value_length(array))
        yield from _levels(array.flatten(), f"{depth}item ")
    elif kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary()):
        blobs = array.cast(pa.large_binary())
        yield f"{depth}lengths {kind}", _bytes(pc.binary_length(blobs))
        yield f"{depth}values", b"".join(blobs.to_pylist())
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        yield f"{depth}values {kind}", _bytes(array)
    else:
        yield f"{depth}values {kind}", "".join(f"{value!r}\n" for value in array).encode()


def _bytes(array: pa.Array) -> Any:
    return np.ascontiguousarray(array.to_numpy(zero_copy_only=False)).view(np.uint8).data
