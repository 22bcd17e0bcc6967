"""Digests of a table's columns and metadata, and of the whole file: kept in it, and asked for by whoever reads it.

Conventions
-----------
- Checksums of pages say that a page is whole, not that it is this column's; and nothing covers the end of a parquet
  file, where names, places and metadata stand. So a table of ours holds, under the metadata key `mcn_content`, a sha256
  of each of its columns and, under the name '', of its other metadata.
- A table is sealed as well: `mcn_sealed` is the sha256 of the file with these 64 digits as zeros. `mcn verify` compares
  it, so that not a bit of a table changes unseen, be it one that no reader looks at.
- A digest of a column is over the values alone, however they are cut into parts. A reader of some columns compares
  those.
- A SQLite file, which has no checksums at all, keeps the CRC-32 of all of it in its application id.
- The schema, which a parquet file keeps twice, says under `mcn_checked` that digests must be there; tables without it
  (of other people, or of earlier versions) are read as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

KEY, MARK, SEAL = b"mcn_content", b"mcn_checked", b"mcn_sealed"
_NOT_OURS = (KEY, SEAL, b"ARROW:schema")
_OPEN = b"0" * 64  # a seal to come
_CHUNK = 1 << 20
# Bytes of the application id in a SQLite file (its file format, section 1.3)
_SQLITE_ID = slice(68, 72)
_DIGITS = re.compile(re.escape(SEAL) + rb".{1,4}?([0-9a-f]{64})", re.DOTALL)


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
        digests = {**self.columns(), "": _metadata(metadata)}
        return {KEY: json.dumps(digests).encode(), SEAL: _OPEN}

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


def seal(path: Path) -> None:
    """Put the digest of a finished table into it."""
    offset = _seal_offset(path)
    if offset is None:
        raise ValueError(f"{path} has no place for a seal")
    digest = _sealed(path, offset)
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(digest)


def require_seal(path: Path) -> bool:
    """Compare a table with its seal; False for tables of others, which have none. Errors: ValueError, OSError."""
    offset = _seal_offset(path)
    if offset is None:
        metadata = pq.read_metadata(path)
        names = {*(metadata.metadata or {}), *(metadata.schema.to_arrow_schema().metadata or {})}
        if {KEY, MARK} & names:
            raise ValueError("its seal is gone")
        return False
    with open(path, "rb") as file:
        file.seek(offset)
        if file.read(len(_OPEN)) != _sealed(path, offset):
            raise ValueError("not the bytes that were written: its seal is broken")
    return True


def _seal_offset(path: Path) -> int | None:
    """Where the digits of a table's seal begin; None where it has none."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(0, size - 8))
        length = int.from_bytes(file.read(4), "little") + 8
        start = max(0, size - length)
        file.seek(start)
        found = list(_DIGITS.finditer(file.read()))
    return start + found[-1].start(1) if found else None


def _sealed(path: Path, offset: int) -> bytes:
    """The digest of a file whose seal, at `offset`, is open."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for length in (offset, None):
            while part := file.read(_CHUNK if length is None else min(_CHUNK, length)):
                digest.update(part)
                length = None if length is None else length - len(part)
            if length is not None:
                digest.update(_OPEN)
                file.seek(offset + len(_OPEN))
    return digest.hexdigest().encode()


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


def seal_sqlite(path: Path) -> None:
    """Note the CRC-32 of a SQLite file, which nobody has open, in it."""
    crc = _sqlite_crc(path)
    with open(path, "r+b") as file:
        file.seek(_SQLITE_ID.start)
        file.write(crc)


def require_sealed_sqlite(path: Path) -> None:
    """Read a whole SQLite file. Errors: OSError; ValueError where it is not as it was sealed."""
    with open(path, "rb") as file:
        noted = file.read(_SQLITE_ID.stop)[_SQLITE_ID.start :]
    if noted != _sqlite_crc(path):
        raise ValueError("its bytes are not those that were written: its CRC-32 is another")


def _sqlite_crc(path: Path) -> bytes:
    """CRC-32 of a file in which the application id is zero."""
    with open(path, "rb") as file:
        head = file.read(_SQLITE_ID.stop)
        crc = zlib.crc32(head[: _SQLITE_ID.start] + bytes(4))
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc.to_bytes(4, "big")
