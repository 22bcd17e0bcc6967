"""Feature health: do the features of a data set vary, and do videos differ from one another?

Conventions
-----------
- Counts (videos by status, rows, seconds) are of every video. Statistics of values are of a sample: at most
  `SAMPLED_VIDEOS` a feature, the same number a shard (at least one), evenly spaced over the shard's usable rows.
  Everything is summed while reading: one video's features are in memory at a time.
- `successive_cosine`: mean cosine of rows i and i + 1 of one video. `between_cosine`: mean cosine over all pairs of
  rows from different videos, from sums of unit rows: (|sum of all|^2 - sum of |sum of a video|^2) / pairs.
- A network whose features hardly depend on its input has a between cosine near 1: the collapse alarm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mcn.report.evaluations import evenly
from mcn.shards import ShardReader, feature_sequence

SAMPLED_VIDEOS = 256
COLLAPSE_COSINE = 0.99  # between rows of different videos
EMPTY_SHARE = 0.95  # of values that are exactly zero


@dataclass(frozen=True)
class FeatureHealth:
    """Health of one numeric feature of one data set; statistics are None where no video has features."""

    dataset: str
    feature: str
    videos: dict[str, int]
    sampled: int
    rows: int
    seconds: float
    step_seconds: list[float]
    widths: list[int]
    mean: float | None
    deviation: float | None
    zeros: float | None
    successive_cosine: float | None
    between_cosine: float | None

    @property
    def alarms(self) -> list[str]:
        """What a person should look at, in words; empty when nothing."""
        found = []
        if not self.videos.get("ok"):
            return ["no video has this feature"]
        if self.between_cosine is not None and self.between_cosine > COLLAPSE_COSINE:
            found.append("collapse: rows of different videos point the same way")
        if self.deviation == 0:
            found.append("collapse: every value is the same")
        if self.zeros is not None and self.zeros > EMPTY_SHARE:
            found.append("nearly every value is zero")
        if len(self.widths) > 1:
            found.append("shards differ in width")
        return found


@dataclass(frozen=True)
class TextHealth:
    """Health of the narration of one data set; token figures are of the sample."""

    dataset: str
    feature: str
    videos: dict[str, int]
    sampled: int
    lines: int
    spoken_seconds: float
    tokens: int
    wordless_lines: int
    distinct_tokens: int

    @property
    def alarms(self) -> list[str]:
        if not self.videos.get("ok"):
            return ["no video has narration"]
        if self.lines and self.wordless_lines > self.lines / 2:
            return ["most lines hold no word of the vocabulary"]
        return []


@dataclass
class _Sums:
    """Running sums over sampled videos; rows are scaled to unit length for the cosines."""

    values: int = 0
    total: float = 0.0
    squares: float = 0.0
    zeros: int = 0
    rows: int = 0
    row_sum: np.ndarray | None = None
    same_video: float = 0.0
    same_pairs: int = 0
    successive: float = 0.0
    successive_pairs: int = 0
    widths: set[int] = field(default_factory=set)

    def add(self, features: np.ndarray) -> None:
        """Add one video's (T, D) features; a width other than the first one's is noted and not summed."""
        self.widths.add(features.shape[1])
        if len(self.widths) > 1:
            return
        x = features.astype(np.float64)
        self.values += x.size
        self.total += float(x.sum())
        self.squares += float((x**2).sum())
        self.zeros += int((x == 0).sum())
        unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        own = unit.sum(0)
        self.row_sum = own if self.row_sum is None else self.row_sum + own
        self.rows += len(x)
        self.same_video += float(own @ own)
        self.same_pairs += len(x) ** 2
        self.successive += float((unit[1:] * unit[:-1]).sum())
        self.successive_pairs += len(x) - 1

    @property
    def mean(self) -> float | None:
        return self.total / self.values if self.values else None

    @property
    def deviation(self) -> float | None:
        if not self.values:
            return None
        variance = self.squares / self.values - (self.total / self.values) ** 2
        return float(np.sqrt(max(variance, 0.0)))

    @property
    def between(self) -> float | None:
        pairs = self.rows**2 - self.same_pairs
        if self.row_sum is None or not pairs:
            return None
        return (float(self.row_sum @ self.row_sum) - self.same_video) / pairs


def feature_health(dataset: str, feature: str, paths: Sequence[Path]) -> FeatureHealth | TextHealth:
    """Health of one feature of one data set; reads the shards one after another. Errors: `DamagedShard`."""
    if paths and ShardReader(paths[0]).kind == "text":
        return _text_health(dataset, feature, paths)
    videos: dict[str, int] = {}
    rows, seconds, sampled, sums = 0, 0.0, 0, _Sums()
    steps: set[float] = set()
    for reader in _readers(paths, "features", videos):
        for length, step in zip(
            reader.column("length"), reader.column("step_seconds"), strict=True
        ):
            if length is not None:
                rows += length
                seconds += length * step
                steps.add(step)
        for row in _sample(reader, len(paths)):
            values = feature_sequence(row).values
            assert values is not None  # only rows with status ok are sampled
            sums.add(values)
            sampled += 1
    return FeatureHealth(
        dataset,
        feature,
        videos,
        sampled,
        rows,
        seconds,
        sorted(steps),
        sorted(sums.widths),
        sums.mean,
        sums.deviation,
        sums.zeros / sums.values if sums.values else None,
        sums.successive / sums.successive_pairs if sums.successive_pairs else None,
        sums.between,
    )


def _text_health(dataset: str, feature: str, paths: Sequence[Path]) -> TextHealth:
    videos: dict[str, int] = {}
    sampled = lines = tokens = wordless = 0
    spoken, distinct = 0.0, set[int]()
    for reader in _readers(paths, "text", videos):
        for row in _sample(reader, len(paths)):
            sampled += 1
            lines += len(row["tokens"])
            spoken += sum(row["ends"]) - sum(row["starts"])
            for line in row["tokens"]:
                tokens += len(line)
                wordless += not line
                distinct.update(line)
    return TextHealth(
        dataset, feature, videos, sampled, lines, spoken, tokens, wordless, len(distinct)
    )


def _readers(paths: Sequence[Path], kind: str, videos: dict[str, int]) -> Iterator[ShardReader]:
    """Each shard opened, its statuses added to `videos`, closed again."""
    for path in paths:
        reader = ShardReader(path, kind)
        for status in reader.column("status"):
            videos[status] = videos.get(status, 0) + 1
        yield reader
        reader.close()


def _sample(reader: ShardReader, shards: int) -> Iterator[dict[str, Any]]:
    usable = [index for index, status in enumerate(reader.column("status")) if status == "ok"]
    for index in evenly(usable, max(1, SAMPLED_VIDEOS // shards)):
        yield reader.read(index)
