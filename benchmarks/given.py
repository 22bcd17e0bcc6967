"""What every row of `python -m benchmarks` is told, and how it says what it found."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.measuring import Figure, spread


class Given(NamedTuple):
    """folder: scratch. videos: files that are decoded. whole: the sizes of the published work, else a part of it.

    rivals: the folder of released programs (`benchmarks.rivals`), if there is one.
    """

    folder: Path
    videos: list[Path]
    whole: bool
    rivals: Path | None

    @property
    def clips(self) -> int:
        """Of a training step."""
        return 128 if self.whole else 32


def costs(
    work: str,
    unit: str,
    mine: list[float],
    rival: list[float] | None = None,
    wanted: float | None = None,
    note: str = "",
) -> Figure:
    """Of what costs seconds."""
    other = None if rival is None else median(rival)
    return Figure(work, unit, median(mine), other, True, spread(mine), wanted, note)
