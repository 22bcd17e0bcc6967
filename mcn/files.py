"""Atomic files: a reader sees the old file, the new file or no file, never a half-written one.

Conventions
-----------
- Everything is written to a unique hidden name beside its target, flushed to disk and renamed. Two writers of one
  target therefore end in one good file.
- Temporary files and folders are called `.{name}.{host}.{process}.{random}.part`. Those of writers that died are
  removed by the next writer of the same name.
- A disk that is full or may not be written to is a `UserError`; the old file is still there then.
- Files get the permissions that the umask says, whatever the library that wrote them chose.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import glob
import hashlib
import io
import json
import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mcn.content import ContentDigest, marked, seal
from mcn.errors import DamagedShard, UserError
from mcn.lifetime import is_alive

BATCH_ROWS = 65_536  # rows read at a time where a table is read part by part
STALE_SECONDS = 24 * 3600  # age at which a temporary file of another host counts as abandoned
# Some libraries do not say why writing failed: with less room than this, it is the disk
_FULL_BYTES = 4096
_UMASK = os.umask(0o022)
os.umask(_UMASK)


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, on any exception removed.

    Errors: `UserError` for a disk that is full or cannot be written to.
    """
    target = Path(path)
    temporary = target.with_name(_temporary_name(target.name))
    try:
        with writing_explained(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            remove_stale(target)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_UMASK)
            temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def scratch_folder(name: str, directory: Path | str | None = None) -> Iterator[Path]:
    """Yield a new folder below `directory` (default: that for temporary files, TMPDIR), removed at the end.

    What writers that died left under the same `name` is removed first.
    """
    target = Path(directory or tempfile.gettempdir()) / name
    folder = target.with_name(_temporary_name(name))
    with writing_explained(target):
        remove_stale(target)
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _temporary_name(name: str) -> str:
    """Unique, and telling whose it is."""
    return f".{name}.{_HOST}.{os.getpid()}.{uuid.uuid4().hex[:8]}.part"


_HOST = socket.gethostname().replace(".", "-")


@contextlib.contextmanager
def writing_explained(target: Path) -> Iterator[None]:
    """Turn the system's words for a disk that is full or may not be written to into `UserError`.

    target: what is written; its folder may be one that other files are written to as well.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        number = getattr(error, "errno", None)
        if number is None:  # of libraries that give words alone
            told = (one for one in (errno.ENOSPC, errno.EROFS) if os.strerror(one) in str(error))
            number = next(told, None)
        if number in (errno.ENOSPC, errno.EDQUOT) or _is_full(target.parent):
            got = f"no space left while writing {target} (temporary files: {tempfile.gettempdir()})"
            wanted = "room on both disks; decoded frames take 0.1 to 0.5 MB a second of video"
            cure = "free space, or set TMPDIR to a larger disk, and run again: what is done stays"
            raise UserError(got, wanted, cure) from error
        if number == errno.EROFS or (
            number in (errno.EACCES, errno.EPERM) and _ours(error, target)
        ):
            cure = f"make it writable (chmod u+w {target.parent}), or run elsewhere: --directory"
            raise UserError(
                f"{target} cannot be written: {error}", "a folder to write to", cure
            ) from error
        raise


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _FULL_BYTES
    except OSError:
        return False


def _ours(error: Exception, target: Path) -> bool:
    """Whether an error is about `target`, its temporary file or its folder, not about something that was read."""
    name = getattr(error, "filename", None)
    return name is None or target.parent in (Path(name), *Path(name).parents)


def remove_stale(target: Path) -> None:
    """Remove temporary files and folders of `target` whose writer is dead (this host) or silent for a day (another)."""
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        host, pid = leftover.name.rsplit(".", 4)[-4:-2]
        if host == _HOST and pid.isdigit():
            stale = not is_alive(int(pid))
        else:
            stale = time.time() - _modified(leftover) > STALE_SECONDS
        if stale and leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        elif stale:
            leftover.unlink(missing_ok=True)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


class CsvWriter:
    """Writes rows as CSV with `\\n` as line end; cells that hold any line end are quoted.

    The library's writer quotes the characters of its own line end alone, and readers take a carriage return for one.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file, self._line = file, io.StringIO()
        self._writer = csv.writer(self._line, lineterminator="\r\n")

    def writerow(self, row: Iterable[Any]) -> None:
        """Write one row."""
        self._writer.writerow(row)
        self._file.write(self._line.getvalue().removesuffix("\r\n") + "\n")
        self._line.seek(0)
        self._line.truncate()

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write rows one after the other."""
        for row in rows:
            self.writerow(row)


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV, as `CsvWriter` writes them."""
    text = io.StringIO()
    CsvWriter(text).writerows(rows)
    return text.getvalue()


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON atomically; NaN and infinities are refused, since JSON has no such numbers (ValueError)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_table(path: Path | str, table: pa.Table, recipe: dict[str, Any] | None = None) -> None:
    """Write a parquet table atomically, with checksums, digests and `recipe` (JSON) under the metadata key `mcn`."""
    if recipe is not None:
        metadata = {**(table.schema.metadata or {}), b"mcn": canonical_json(recipe).encode()}
        table = table.replace_schema_metadata(metadata)
    with stream_table(path, table.schema) as writer:
        writer.write_table(table)


class TableWriter:
    """Writes a table part by part; digests of its content go to its end (`mcn.content`)."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer, self._digest = writer, ContentDigest()
        self._noted: dict[bytes, bytes] = {}

    def write_table(self, part: pa.Table) -> None:
        """Append rows, whose columns are those of the schema."""
        self._digest.add(part)
        self._writer.write_table(part)

    def note(self, metadata: Mapping[bytes, bytes]) -> None:
        """Add metadata that the schema does not have."""
        self._noted.update(metadata)

    def finish(self) -> None:
        """Write what was noted, and the digests."""
        metadata = {**self._writer.schema.metadata, **self._noted}
        record = self._digest.record(self._writer.schema, metadata)
        self._writer.add_key_value_metadata({**self._noted, **record})


@contextlib.contextmanager
def stream_table(path: Path | str, schema: pa.Schema) -> Iterator[TableWriter]:
    """Write a parquet table part by part, atomically, with page checksums and digests: yields its writer."""
    schema = marked(schema)
    with atomic_path(path) as temporary:
        with pq.ParquetWriter(
            temporary, schema, compression="zstd", write_page_checksum=True
        ) as writer:
            table = TableWriter(writer)
            yield table
            table.finish()
        seal(temporary)


def table_batches(path: Path | str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Read a parquet table part by part, verifying its checksums and, at its end, its digests.

    A damaged file raises `DamagedShard`.
    """
    with _reading(path) as file:
        rows, digest = 0, ContentDigest()
        for batch in file.iter_batches(BATCH_ROWS, columns=columns):
            rows += batch.num_rows
            digest.add(batch)
            yield batch
        _check_rows(rows, file.metadata)
        digest.check(file.schema_arrow, file.metadata.metadata)


def read_table(path: Path | str, columns: list[str] | None = None) -> pa.Table:
    """Read a whole parquet table, verifying its checksums and digests; a damaged file raises `DamagedShard`."""
    with _reading(path) as file:
        table = file.read(columns=columns)
        _check_rows(table.num_rows, file.metadata)
        digest = ContentDigest()
        digest.add(table)
        digest.check(file.schema_arrow, file.metadata.metadata)
    return table


@contextlib.contextmanager
def _reading(path: Path | str) -> Iterator[pq.ParquetFile]:
    """A parquet file whose checksums are verified; `DamagedShard` for whatever is wrong while it is read."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedShard(path, str(error)) from error


def _check_rows(found: int, metadata: pq.FileMetaData) -> None:
    """No checksum covers the counts of a parquet file; one that does not fit what was read is damage (ValueError)."""
    if found != metadata.num_rows:
        raise ValueError(f"{found} rows where {metadata.num_rows} are announced")


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def file_sha256(path: Path | str) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
