"""A folder of files that can be made again, kept below a number of bytes.

Conventions: files lie in subfolders of the first two characters of their names; what was used longest ago goes first; a
file that is larger than the whole limit stays until the next one is added. A file that another process removed is no
longer there: nothing but the folder itself is believed.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from pathlib import Path


class FileCache:
    """Files below `folder`, at most `limit_bytes` together; safe to use from several threads."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()  # oldest use first
        self._total = 0
        found = [(path.stat(), path.name) for path in folder.glob("??/[!.]*")]
        for stat, name in sorted(found, key=lambda entry: entry[0].st_mtime):
            self._note(name, stat.st_size)
        self._evict()

    @property
    def total_bytes(self) -> int:
        """Bytes of all files together."""
        return self._total

    def path(self, name: str) -> Path:
        """Where a file lies, or would lie."""
        return self.folder / name[:2] / name

    def find(self, name: str) -> Path | None:
        """The file of this name, which counts as used now; None where there is none."""
        path = self.path(name)
        try:
            size = path.stat().st_size
        except OSError:
            with self._lock:
                self._total -= self._sizes.pop(name, 0)
            return None
        with self._lock:
            self._note(name, size)
        return path

    def add(self, name: str) -> Path:
        """Count a file that was just written to `path(name)`, and remove others until the limit is kept."""
        path = self.path(name)
        size = path.stat().st_size
        with self._lock:
            self._note(name, size)
            self._evict()
        return path

    def _note(self, name: str, size: int) -> None:
        self._total += size - self._sizes.pop(name, 0)
        self._sizes[name] = size

    def _evict(self) -> None:
        while self._total > self.limit_bytes and len(self._sizes) > 1:
            name, size = self._sizes.popitem(last=False)
            self._total -= size
            with contextlib.suppress(OSError):
                self.path(name).unlink()
