"""Text files that others wrote: whether they have lines, asked before one of them is read into memory.

Conventions: a file of zeros, or one whose end was never written, may be gigabytes without a line end, and whoever reads
a line of it holds all of it. Lines of `LONGEST_LINE` bytes always pass, of twice as much never. Files that have no
lines by their nature (JSON) have a largest size instead.
"""

from __future__ import annotations

from pathlib import Path

LONGEST_LINE = 1 << 20  # bytes
# bytes of a text that is held whole; in memory it takes several times as much
LARGEST_TEXT = 1 << 30


def require_lines(path: Path) -> None:
    """Read a file in pieces, each of which must hold the end of a line. Errors: OSError; ValueError with the place."""
    place = 0
    with open(path, "rb") as file:
        while len(piece := file.read(LONGEST_LINE)) == LONGEST_LINE:
            if b"\n" not in piece and b"\r" not in piece:
                raise ValueError(f"no line ends in {LONGEST_LINE} bytes from byte {place} on")
            place += LONGEST_LINE


def require_size(path: Path) -> None:
    """Errors: OSError; ValueError for a file that is too large to be held whole."""
    size = path.stat().st_size
    if size > LARGEST_TEXT:
        raise ValueError(f"{size} bytes, and {LARGEST_TEXT} are the most that is read")
