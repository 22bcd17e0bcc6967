"""Files of data that others made, read within bounds: arrays, and how much memory a file may take.

Conventions
-----------
- What a file announces is checked before memory is taken for it: an array's header against the bytes that follow and
  against `LARGEST_ARRAY`.
- Where a format cannot be checked like that, as a pickle, the process may not map more than `ROOM` and `TIMES` the
  file's size while it reads; what asks for more is refused by the system, and ends in MemoryError at once.
- A `.npz` holds one array, or an array that is named `features` or `arr_0`. Arrays of objects, which are pickles, are
  refused.
"""

from __future__ import annotations

import contextlib
import math
import resource
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mcn.sources.first_bytes import what_it_is

ARRAY_NAMES = ("features", "arr_0")
LARGEST_ARRAY = 2 << 30  # bytes; a day of log-mels in float32 takes 1.4e9
ROOM = 1 << 30  # bytes
TIMES = 16  # a word of two numbers takes that much more in memory than in its file


def load_array(path: Path) -> np.ndarray:
    """The array of a .npy or .npz file. Errors: ValueError with the reason, whatever is wrong; OSError."""
    try:
        with bounded_memory(path), open(path, "rb") as file:
            archived = file.read(2) == b"PK"
            file.seek(0)
            if not archived:
                return _array(file, path.stat().st_size)
            with zipfile.ZipFile(file) as archive:
                member = _member(archive)
                with archive.open(member) as content:
                    return _array(content, member.file_size)  # type: ignore[arg-type]
    except OSError:
        raise
    except Exception as error:  # zlib, zipfile, tokenize and numpy raise many kinds
        kind = what_it_is(path)
        known = kind and kind not in ("a numpy array", "an archive of numpy arrays")
        raise ValueError(kind if known else f"{type(error).__name__}: {error}") from error


def _member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = {one.filename.removesuffix(".npy"): one for one in archive.infolist()}
    names = [name for name in ARRAY_NAMES if name in members]
    if not names and len(members) != 1:
        found = ", ".join(members) or "nothing"
        raise ValueError(f"holds {found}, wanted one array, or features or arr_0")
    return members[(names or list(members))[0]]


def _array(file: BinaryIO, size: int) -> np.ndarray:
    """Read an array of a file of `size` bytes from its beginning."""
    version = np.lib.format.read_magic(file)
    header = {(1, 0): np.lib.format.read_array_header_1_0}
    shape, in_columns, kind = header.get(version, np.lib.format.read_array_header_2_0)(file)
    if kind.hasobject:
        raise ValueError("an array of objects, which is a pickle")
    announced, held = math.prod(shape) * kind.itemsize, size - file.tell()
    if min(shape, default=0) < 0 or announced > min(held, LARGEST_ARRAY):
        limit = f"{held} bytes follow, and {LARGEST_ARRAY} are the most that is read"
        raise ValueError(f"announces {shape} of {kind}, {announced} bytes; {limit}")
    content = file.read(announced)
    if len(content) < announced:
        raise ValueError(f"{len(content)} of {announced} bytes are there")
    values = np.frombuffer(content, kind, math.prod(shape))
    return values.reshape(shape, order="F" if in_columns else "C")


@contextlib.contextmanager
def bounded_memory(path: Path | str) -> Iterator[None]:
    """Let this process map no more than `ROOM` and `TIMES` the size of the file on top of what it has."""
    old, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + ROOM + TIMES * Path(path).stat().st_size
    except (OSError, ValueError):  # no Linux, or no file
        limit = old
    bounds = [one for one in (old, hard, limit) if one != resource.RLIM_INFINITY]
    try:
        resource.setrlimit(resource.RLIMIT_AS, (min(bounds, default=old), hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (old, hard))
