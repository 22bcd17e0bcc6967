"""Atomic files: a reader sees the old file, the new file or no file, never a half-written one.

Everything is written to a unique hidden name beside its target, flushed to disk and renamed. Two writers of one
target therefore end in one good file. Temporary files of writers that died are removed by the next writer.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mcn.errors import DamagedShard

BATCH_ROWS = 65_536  # rows read at a time where a table is read part by part
STALE_SECONDS = 24 * 3600  # age at which a temporary file of another host counts as abandoned


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, on any exception removed."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(target)
    name = f".{target.name}.{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.part"
    temporary = target.with_name(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def remove_stale(target: Path) -> None:
    """Remove temporary files of `target` whose writer is dead (this host) or silent for a day (another host)."""
    for leftover in target.parent.glob(f".{glob_escape(target.name)}.*.part"):
        host, pid = leftover.name.rsplit(".", 4)[-4:-2]
        if host == socket.gethostname().rsplit(".", 1)[-1] and pid.isdigit():
            stale = not _alive(int(pid))
        else:
            stale = time.time() - _modified(leftover) > STALE_SECONDS
        if stale:
            leftover.unlink(missing_ok=True)


def glob_escape(name: str) -> str:
    """`name` with the characters that mean something to glob made literal."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON atomically; NaN and infinities are refused, since JSON has no such numbers (ValueError)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_table(path: Path | str, table: pa.Table, recipe: dict[str, Any] | None = None) -> None:
    """Write a parquet table atomically, with page checksums and `recipe` (JSON) under the metadata key `mcn`."""
    if recipe is not None:
        metadata = {**(table.schema.metadata or {}), b"mcn": canonical_json(recipe).encode()}
        table = table.replace_schema_metadata(metadata)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True, compression="zstd")


@contextlib.contextmanager
def stream_table(path: Path | str, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Write a parquet table part by part, atomically and with page checksums: yields its writer."""
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        yield writer


def table_batches(path: Path | str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Read a parquet table part by part, verifying its page checksums; a damaged file raises `DamagedShard`."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield from file.iter_batches(BATCH_ROWS, columns=columns)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedShard(path, str(error)) from error


def read_table(path: Path | str, columns: list[str] | None = None) -> pa.Table:
    """Read a whole parquet table, verifying its page checksums; a damaged file raises `DamagedShard`."""
    try:
        return pq.read_table(path, columns=columns, page_checksum_verification=True)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedShard(path, str(error)) from error


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
