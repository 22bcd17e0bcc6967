"""Blobs of any length: what is longer than `PART_BYTES` lies in parts, a row group of the shard each.

Conventions
-----------
- Memory holds one part at a time, whoever writes or reads. A blob that fits in one part is a plain cell, as every blob
  was before there were parts.
- The parts of frames are whole files of `mcn.media.lossless`, those of sound stretches of samples. Row groups after a
  video's first have the status `part` and nothing else but its id and its blob.
- The shard's metadata says twice which row groups are whose (`KEYS`), since no checksum covers it.
"""

from __future__ import annotations

import bisect
import json
import mmap
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

# reading and writing takes three times as much; a network needs some 700 MB beside it
PART_BYTES = 64 << 20
STATUS = "part"
KEYS = (b"mcn.parts", b"mcn.parts.again")


class Parts:
    """A blob in `count` parts; `read(i)` gives one of them. Iterating reads them one after the other."""

    def __init__(self, count: int, read: Callable[[int], pa.Buffer]) -> None:
        self._count, self.read = count, read

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[pa.Buffer]:
        return (self.read(number) for number in range(self._count))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Parts) or len(self) != len(other):
            return False
        return all(mine.equals(theirs) for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


def parts_of(blob: bytes | Parts) -> Parts:
    """The parts of a blob of a row, whether it has one or many."""
    return blob if isinstance(blob, Parts) else Parts(1, lambda number: pa.py_buffer(blob))


def file_parts(files: Sequence[Path]) -> Parts:
    """Files as the parts of a blob, mapped from disk."""
    return Parts(len(files), lambda number: _mapped(files[number], 0, files[number].stat().st_size))


def cut_file(path: Path) -> Parts:
    """A file cut into parts of `PART_BYTES`, mapped from disk."""
    size = path.stat().st_size
    count = max(1, -(-size // PART_BYTES))

    def read(number: int) -> pa.Buffer:
        start = number * PART_BYTES
        return _mapped(path, start, min(PART_BYTES, size - start))

    return Parts(count, read)


def _mapped(path: Path, start: int, length: int) -> pa.Buffer:
    with open(path, "rb") as file:
        return pa.py_buffer(mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=start))


class Samples:
    """The samples of a video in parts, (N,) float32, as an array of which memory holds little.

    A slice is read when it is asked for, and the part that was read last is kept; `numpy.asarray` reads all of them.
    finite: whether no sample is NaN or infinite. Every part is read once when this is made.
    """

    dtype, ndim = np.dtype("<f4"), 1

    def __init__(self, parts: Parts) -> None:
        self._parts, self._lock = parts, threading.Lock()
        self._ends: list[int] = []
        self._kept = (-1, np.zeros(0, self.dtype))
        self.finite = True
        for number in range(len(parts)):
            values = self._part(number)
            self._ends.append(len(self) + len(values))
            self.finite = self.finite and bool(np.isfinite(values).all())
        if len(parts) > 1:
            self._kept = (-1, values[:0].copy())  # who waits for its turn holds nothing

    def _part(self, number: int) -> np.ndarray:
        with self._lock:
            if self._kept[0] != number:
                self._kept = number, np.frombuffer(self._parts.read(number), self.dtype)
            return self._kept[1]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def shape(self) -> tuple[int]:
        return (len(self),)

    def __getitem__(self, wanted: slice) -> np.ndarray:
        start, stop, step = wanted.indices(len(self))
        if step != 1:
            raise ValueError(f"every {step} samples; only neighbours are read")
        found = []
        first = bisect.bisect_right(self._ends, start)
        while start < stop:
            begin = self._ends[first - 1] if first else 0
            found.append(self._part(first)[start - begin : stop - begin])
            start, first = self._ends[first], first + 1
        return found[0] if len(found) == 1 else np.concatenate([np.zeros(0, self.dtype), *found])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


def layout_metadata(counts: dict[int, int]) -> dict[bytes, bytes]:
    """Metadata of a shard in which some rows have several row groups: number of the row -> how many."""
    text = json.dumps({str(row): count for row, count in counts.items()}).encode()
    return dict.fromkeys(KEYS, text) if counts else {}


def row_groups(metadata: dict[bytes, bytes], groups: int) -> list[range] | None:
    """The row groups of every row; None where each has one. ValueError where the metadata is damaged."""
    once, again = (metadata.get(key) for key in KEYS)
    if once != again:
        raise ValueError("its two lists of parts differ")
    if once is None:
        return None
    counts: dict[str, Any] = json.loads(once)
    found: list[range] = []
    start = 0
    while start < groups:
        count = int(counts.get(str(len(found)), 1))
        found.append(range(start, start + max(1, count)))
        start += max(1, count)
    if start != groups:
        raise ValueError(f"{groups} row groups, its list of parts wants {start}")
    return found
