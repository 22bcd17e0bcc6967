"""Training curves: metrics.jsonl to panels of series, whatever the keys.

Conventions
-----------
- One JSON object a line, `step` and/or `epoch` and scalar keys such as `loss/total`, `lr`, `clusters/used`. The part
  before the first `/` is the group (keys without one belong to `UNGROUPED`).
- Values of one unit share a panel: the losses of a group; one measure of several things, `early/t->v/R@10` and
  `early/t->a/R@10`. Every other key has a panel of its own, since a number of clusters and a share do not belong on
  one axis.
- More than `POINTS` values are drawn as means over equal runs of values. Values that are null or not finite are
  left out and counted in a note; of a loss they raise an alarm.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcn.errors import UserError

POINTS = 200
X_KEYS = ("step", "epoch")
UNGROUPED = "train"
CROWDED_SHARE = 0.5  # share of all points in one cluster that calls for a look
_RECALL = re.compile(r"R@\d+")


@dataclass(frozen=True)
class Series:
    """One key's finite values; `x` is a step or an epoch."""

    label: str
    x: list[float]
    y: list[float]
    first: float
    last: float


@dataclass(frozen=True)
class Panel:
    """Series that share an axis."""

    group: str
    title: str
    x_label: str
    series: list[Series]
    notes: list[str]

    @property
    def heading(self) -> str:
        """Group and title in words, `clusters: largest share`."""
        words = (
            self.title if self.group in (self.title, UNGROUPED) else f"{self.group}: {self.title}"
        )
        return words.replace("_", " ")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl; `UserError` naming a line that is no JSON object."""
    records = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                record = None
            if not isinstance(record, dict):
                raise UserError(
                    f"{path}, line {number}: {line[:60]!r}",
                    "one JSON object a line",
                    "run the training again: it resumes from its last checkpoint",
                )
            records.append(record)
    return records


def panels(records: Sequence[dict[str, Any]]) -> list[Panel]:
    """Panels in the order in which their keys first occur; a key without a single finite value is only noted."""
    x_key = next((key for key in X_KEYS if any(key in record for record in records)), None)
    gathered: dict[tuple[str, str], dict[str, tuple[list[float], list[float]]]] = {}
    for position, record in enumerate(records):
        x = record.get(x_key, position) if x_key else position
        for key, value in record.items():
            if key in X_KEYS or not isinstance(value, int | float | None):
                continue
            group, title, label = place(key)
            xs, ys = gathered.setdefault((group, title), {}).setdefault(label, ([], []))
            xs.append(float(x))
            ys.append(math.nan if value is None else float(value))
    return [
        _panel(group, title, x_key or "record", series)
        for (group, title), series in gathered.items()
    ]


def place(key: str) -> tuple[str, str, str]:
    """Group, panel title and series label of a key.

    >>> place("loss/mms"), place("early/t->v/R@10"), place("clusters/used"), place("lr")
    (('loss', 'loss', 'mms'), ('early', 'R@10', 't->v'), ('clusters', 'used', 'used'), ('train', 'lr', 'lr'))
    """
    group, slash, rest = key.partition("/")
    if not slash:
        group, rest = UNGROUPED, key
    recall = _RECALL.search(rest)
    if recall:
        label = rest.replace(recall.group(), "").strip(" /_.:") or rest
        return group, recall.group(), label
    if "loss" in key:
        return group, group if "loss" in group else "loss", rest
    label, _, title = rest.rpartition("/")
    return group, title, label or title


def _panel(
    group: str, title: str, x_label: str, values: dict[str, tuple[list[float], list[float]]]
) -> Panel:
    series, notes = [], []
    for label, (xs, ys) in values.items():
        finite = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
        if len(finite) < len(ys):
            notes.append(
                f"{label}: {len(ys) - len(finite)} of {len(ys)} values are null or not finite"
            )
        if finite:
            x, y = (list(column) for column in zip(*finite, strict=True))
            thin_x, thin_y = thin(x), thin(y)
            series.append(Series(label, thin_x, thin_y, y[0], y[-1]))
    return Panel(group, title, x_label, series, notes)


def thin(values: Sequence[float]) -> list[float]:
    """At most `POINTS` means over equal runs of `values`."""
    if len(values) <= POINTS:
        return list(values)
    return [float(part.mean()) for part in np.array_split(np.asarray(values, np.float64), POINTS)]


def alarms(found: Sequence[Panel]) -> list[str]:
    """What a person should look at: losses that are not finite, one cluster that holds most points."""
    losses = [panel for panel in found if "loss" in panel.title]
    words = [f"{panel.heading}, {note}" for panel in losses for note in panel.notes]
    for panel in found:
        for series in panel.series:
            if "largest" in series.label and series.last > CROWDED_SHARE:
                words.append(f"{panel.heading}, one cluster holds {series.last:.0%} of the points")
    return words
