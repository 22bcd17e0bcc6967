"""Which code made a shard or seeded weights, and which other code a person accepted for it.

Conventions
-----------
- The file's metadata holds, under the key `mcn_code`, `made=DIGEST accepted=DIGEST`: the digests of the code that wrote
  the shard and of the code for which it was accepted since (at first the same). It is no part of the recipe: shards
  that differ in it alone are of one kind to every reader.
- The record has a fixed length and lies near the end of the file, so that reading it costs one short read whatever the
  size of the shard, and accepting writes no row anew.
- Weights are known by the sha256 of their bytes, so that their record lies beside them, in `NAME.safetensors.code`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

from mcn.files import atomic_path, write_text

KEY = "mcn_code"
TAIL_BYTES = 65_536  # of a file; its metadata are longer where recipes are long or row groups many
_RECORD = re.compile(rb"made=([0-9a-f]{32}) accepted=([0-9a-f]{32})")
_code: ContextVar[str] = ContextVar("code", default="")


class MadeBy(NamedTuple):
    """Digests of the code that made a shard and of the code that it was accepted for, 32 hexadecimal digits each."""

    made: str
    accepted: str

    def __str__(self) -> str:
        return f"made={self.made} accepted={self.accepted}"


@contextlib.contextmanager
def writing_with(code: str) -> Iterator[None]:
    """Every shard that is written inside notes `code` as the digest of what made it."""
    token = _code.set(code)
    try:
        yield
    finally:
        _code.reset(token)


def current_record() -> MadeBy | None:
    """What a shard that is written now notes; None where nobody said."""
    code = _code.get()
    return MadeBy(code, code) if code else None


def note(path: Path, record: MadeBy) -> None:
    """Write the record of weights beside them."""
    write_text(_beside(path), f"{record}\n")


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.code")


def read_record(path: Path) -> MadeBy | None:
    """The record of a shard or of weights; None where there is none. Errors: OSError."""
    file = _beside(path) if path.suffix == ".safetensors" else path
    found = _find(file) if file.exists() else None
    return found[0] if found else None


def accept(path: Path, code: str) -> bool:
    """Note in a shard that it stands for what `code` would make; False where it has no record to note it in.

    The file is copied and renamed over itself with its old time, so that nothing that reads it is remade; a reader
    sees the old record or the new one.
    """
    file = path if path.suffix == ".parquet" else _beside(path)
    found = _find(file) if file.exists() else None
    if found is None:
        return False
    record, offset = found
    if file != path:
        note(path, MadeBy(record.made, code))
        return True
    status = path.stat()
    with atomic_path(path) as temporary:
        shutil.copyfile(path, temporary)
        with open(temporary, "r+b") as copy:
            copy.seek(offset)
            copy.write(str(MadeBy(record.made, code)).encode())
        os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))
    return True


def _find(path: Path) -> tuple[MadeBy, int] | None:
    """The last record in a file and its offset in bytes."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        for length in (TAIL_BYTES, _footer_bytes(path)):
            start = max(0, size - length)
            file.seek(start)
            found = list(_RECORD.finditer(file.read()))
            if found:
                made, accepted = (part.decode() for part in found[-1].groups())
                return MadeBy(made, accepted), start + found[-1].start()
    return None


def _footer_bytes(path: Path) -> int:
    """Length of the metadata at the end of a parquet file, with its own length and the magic number."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 8))
        last = file.read()
    return int.from_bytes(last[:4], "little") + 8 if last[4:] == b"PAR1" else 0
