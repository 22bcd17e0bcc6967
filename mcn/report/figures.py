"""Geometry of the line charts: values to SVG coordinates and round ticks. The template draws them.

Conventions: coordinates are SVG user units, y downwards; the plot area is `WIDTH` x `HEIGHT` with its origin at the
top left. Nothing here holds text of the user's beyond labels, which the template escapes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mcn.report.curves import Panel

WIDTH, HEIGHT = 300.0, 130.0


@dataclass(frozen=True)
class Tick:
    """A place on an axis and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """One series: its polylines as SVG `points` (several where values are missing between), its ends in words."""

    label: str
    points: str
    first: float
    last: float
    end: tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """A panel ready to be drawn."""

    title: str
    x_label: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    notes: list[str]


def chart(panel: Panel) -> Chart:
    """Lay out a panel; one without a single value is its heading and its notes."""
    if not panel.series:
        return Chart(panel.heading, panel.x_label, [], [], [], panel.notes)
    xs = [x for series in panel.series for x in series.x]
    ys = [y for series in panel.series for y in series.y]
    x_marks, y_marks = round_ticks(min(xs), max(xs), 5), round_ticks(min(ys), max(ys), 4)
    x_low, x_high = min(xs), max(xs)
    y_low, y_high = min(y_marks[0], *ys), max(y_marks[-1], *ys)
    lines = []
    for series in panel.series:
        places = [
            (_scale(x, x_low, x_high) * WIDTH, (1 - _scale(y, y_low, y_high)) * HEIGHT)
            for x, y in zip(series.x, series.y, strict=True)
        ]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        lines.append(Line(series.label, points, series.first, series.last, places[-1]))
    return Chart(
        panel.heading,
        panel.x_label,
        lines,
        [
            Tick(_scale(x, x_low, x_high) * WIDTH, number(x))
            for x in x_marks
            if x_low <= x <= x_high
        ],
        [Tick((1 - _scale(y, y_low, y_high)) * HEIGHT, number(y)) for y in y_marks],
        panel.notes,
    )


def _scale(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def round_ticks(low: float, high: float, about: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten that enclose [low, high], about `about` of them.

    >>> round_ticks(0.0, 0.93, 4)
    [0.0, 0.5, 1.0]
    """
    if high <= low:
        pad = abs(low) / 2 or 1.0
        low, high = low - pad, high + pad
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def number(value: float, digits: int = 4) -> str:
    """A short label of so many significant digits, thousands as k and M.

    >>> [number(v) for v in (0.0, 0.25, 1500.0, 2e6, 1e-4)]
    ['0', '0.25', '1.5k', '2M', '1e-4']
    """
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.{digits}g}{letter}"
    if value and abs(value) < 1e-3:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.{digits}g}"


def percent_of(value: float, whole: float) -> float:
    """Percent of `whole`, limited to [0, 100]; 0 where `whole` is 0."""
    return min(max(100.0 * value / whole, 0.0), 100.0) if whole > 0 else 0.0


def second_ticks(seconds: float) -> Sequence[Tick]:
    """Whole-second ticks of a timeline, `at` in percent of its length."""
    marks = [m for m in round_ticks(0.0, max(seconds, 1.0), 6) if m <= seconds and m == int(m)]
    return [Tick(percent_of(mark, seconds), str(int(mark))) for mark in marks]
