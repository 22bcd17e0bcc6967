"""Scenes of a video: stretches whose pictures are alike, which begin and end where the pictures change.

Conventions
-----------
- Rows of a feature of pictures, each brought to unit length, are joined from single rows upwards: always the two
  neighbours whose joining adds least to the sum of squared distances from the means, n m / (n + m) |a - b|^2 (Ward,
  JASA 1963, among neighbours in time alone), as long as that is at most `change`. A cut between two shots stays because
  their pictures differ, a slow change because the stretches around it have become long.
- No scene is longer than `longest` rows, so that an answer is not a whole lecture. One that is shorter than `shortest`
  rows is then joined with the neighbour that it is more like, whatever that adds.
- Costs that are equal are taken in the order of time, so that equal rows give equal scenes.
"""

from __future__ import annotations

import heapq
import math

import numpy as np


def scenes(rows: np.ndarray, change: float, longest: int, shortest: int) -> list[tuple[int, int]]:
    """First row and row behind the last one of each scene, in order; [] of no rows. rows: (T, D)."""
    joined = _Joined(rows, longest)
    joined.join(change)
    joined.join_short(shortest)
    return joined.spans()


class _Joined:
    """Stretches of rows, each known by its first row."""

    def __init__(self, rows: np.ndarray, longest: int) -> None:
        values = np.asarray(rows, np.float32)
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        self._sums = values / np.where(lengths > 0, lengths, 1)
        self._longest = longest
        self._ends = {first: first + 1 for first in range(len(values))}
        self._before = {first + 1: first for first in range(len(values))}  # end -> first row

    def spans(self) -> list[tuple[int, int]]:
        return sorted(self._ends.items())

    def join(self, change: float) -> None:
        """Join neighbours, the most alike first, while that costs at most `change`."""
        heap = [one for first in self._ends if (one := self._pair(first)) is not None]
        heapq.heapify(heap)
        while heap and heap[0][0] <= change:
            _, first, second, end = heapq.heappop(heap)
            if self._ends.get(first) != second or self._ends.get(second) != end:
                continue  # one of both has been joined since
            self._merge(first)
            for neighbour in (self._before.get(first), first):
                pair = self._pair(neighbour) if neighbour is not None else None
                if pair is not None:
                    heapq.heappush(heap, pair)

    def join_short(self, shortest: int) -> None:
        """Join each stretch of fewer rows with the neighbour that it is more like, the shortest first."""
        while len(self._ends) > 1:
            length, first = min((end - first, first) for first, end in self._ends.items())
            if length >= shortest:
                return
            before, behind = self._before.get(first), self._ends[first]
            sides = [
                one for one in (before, first if behind in self._ends else None) if one is not None
            ]
            self._merge(min(sides, key=self._distance))

    def _pair(self, first: int) -> tuple[float, int, int, int] | None:
        """What joining a stretch with the next one costs, None where it cannot be."""
        second = self._ends[first]
        end = self._ends.get(second)
        if end is None or end - first > self._longest:
            return None
        one, other = second - first, end - second
        return one * other / (one + other) * self._distance(first), first, second, end

    def _distance(self, first: int) -> float:
        """Squared distance between the means of a stretch and the next one."""
        second = self._ends[first]
        one = self._sums[first] / (second - first)
        other = self._sums[second] / (self._ends[second] - second)
        return float(((one - other) ** 2).sum())

    def _merge(self, first: int) -> None:
        second = self._ends[first]
        end = self._ends.pop(second)
        self._sums[first] += self._sums[second]
        self._ends[first] = end
        del self._before[second]
        self._before[end] = first


def rows_in(seconds: float, step_seconds: float) -> int:
    """Rows that last so long, at least one."""
    return max(1, math.floor(seconds / step_seconds + 1e-6))
