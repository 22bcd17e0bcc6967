"""The page of a study: offline, every text escaped, its drawings readable without the text."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from mcn.files import write_text
from mcn.options.study import StudyOptions
from mcn.report.curves import Panel
from mcn.report.render import environment
from mcn.study.pictures import SIZE

if TYPE_CHECKING:
    from mcn.study.stage import Effect, Mean
    from mcn.study.statistics import Share

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
WIDE, ROW = 320.0, 22.0  # SVG units of a drawing of intervals, and of one row of it
COST = "step milliseconds"


@dataclass(frozen=True)
class Interval:
    """One row of a drawing: places in SVG units, and what is written."""

    label: str
    low: float
    high: float
    at: float
    words: str
    verdict: str


@dataclass(frozen=True)
class Forest:
    """Differences of one measure in one condition; `zero` and `worth`: places of 0 and of the smallest effect."""

    title: str
    intervals: list[Interval]
    zero: float
    worth: list[float]
    smallest: float
    height: float


@dataclass(frozen=True)
class Dots:
    """Points (x, y, group) in SVG units of a square of `SIZE`, where the axes cross, names of groups, axis titles."""

    points: list[tuple[float, float, int]]
    zero: tuple[float, float]
    groups: list[str]
    spans: tuple[str, str, str, str]


@dataclass(frozen=True)
class Page:
    """What is shown; means: (condition, objective, measure) -> mean over seeds."""

    title: str
    synthetic: bool
    options: StudyOptions
    objectives: Sequence[str]
    effects: Sequence[Effect]
    means: Mapping[tuple[str, str, str], Mean]
    panels: Sequence[Panel]
    look_alikes: Mapping[str, Mapping[str, float]]
    pictures: Mapping[tuple[str, str], Mapping[str, Any]]
    benefits: Sequence[tuple[str, str, float, float]]
    shares: Sequence[tuple[Effect, Share]]

    @property
    def conditions(self) -> list[str]:
        """The conditions, and the changes between them, that there are effects of."""
        return list(dict.fromkeys(one.condition for one in self.effects))

    def cell(self, condition: str, objective: str, measure: str) -> Mean | None:
        """One mean; None where the objective has no such measure."""
        return self.means.get((condition, objective, measure))

    def found(self, condition: str, objective: str, measure: str) -> Effect | None:
        """One effect; None of the baseline, and where the objective has no such measure."""
        wanted = condition, objective, measure
        found = [
            one for one in self.effects if (one.condition, one.objective, one.measure) == wanted
        ]
        return found[0] if found else None

    @property
    def columns(self) -> list[str]:
        """Measures of the tables: the primary ones, then purity, chance and cost."""
        others = ["purity", "chance NMI", COST]
        measured = {measure for _, _, measure in self.means}
        return [*self.options.measures, *(one for one in others if one in measured)]

    def forests(self) -> list[Forest]:
        """A drawing for each measure and condition, those of one measure on one scale."""
        drawn = []
        for measure in self.options.measures:
            scale = Scale.of([one for one in self.effects if one.measure == measure])
            for condition in self.conditions:
                rows = [
                    one
                    for one in self.effects
                    if (one.measure, one.condition) == (measure, condition)
                ]
                if rows:
                    drawn.append(_forest(f"{measure}, {condition}", rows, scale))
        return drawn

    def dots(self) -> Dots | None:
        """Gain in NMI to the right, gain in the first measure upwards, of every trial."""
        if not self.benefits:
            return None
        groups = list(dict.fromkeys(objective for _, objective, _, _ in self.benefits))
        across = Scale(*_span([x for _, _, x, _ in self.benefits]), SIZE)
        upwards = Scale(*_span([y for _, _, _, y in self.benefits]), SIZE)
        points = [
            (across.at(x), SIZE - upwards.at(y), groups.index(objective))
            for _, objective, x, y in self.benefits
        ]
        ends = tuple(f"{one:+.1f}" for one in (across.low, across.high, upwards.low, upwards.high))
        return Dots(points, (across.at(0), SIZE - upwards.at(0)), groups, ends)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` on a line of `length` SVG units."""

    low: float
    high: float
    length: float = WIDE

    @classmethod
    def of(cls, effects: Sequence[Effect]) -> Scale:
        """One that holds 0, all intervals and the smallest effects."""
        ends = [end for one in effects for end in (one.difference.low, one.difference.high)]
        ends += [sign * one.smallest for one in effects if one.smallest for sign in (-1, 1)]
        return cls(*_span(ends))

    def at(self, value: float) -> float:
        """Where a value lies."""
        return self.length * (value - self.low) / (self.high - self.low)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """From the least to the largest of values and 0, with a little room."""
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room


def _forest(title: str, effects: Sequence[Effect], scale: Scale) -> Forest:
    intervals = []
    for one in effects:
        found = one.difference
        words = f"{found.value:+.1f} [{found.low:+.1f}, {found.high:+.1f}], p {one.corrected:.2g}: {one.verdict}"
        places = scale.at(found.low), scale.at(found.high), scale.at(found.value)
        intervals.append(Interval(one.objective, *places, words, one.verdict))
    smallest = effects[0].smallest
    worth = [scale.at(-smallest), scale.at(smallest)] if smallest else []
    height = ROW * len(intervals)
    return Forest(title, intervals, scale.at(0), worth, smallest or 0.0, height)


def write_page(page: Page, output: Path) -> None:
    """Write the page atomically."""
    templates = environment()
    templates.loader = jinja2.ChoiceLoader(
        [jinja2.FileSystemLoader(FOLDER), templates.loader or jinja2.DictLoader({})]
    )
    text = templates.get_template("study.html").render(page=page, size=SIZE, wide=WIDE, row=ROW)
    write_text(output, text)
    logger.info("%s: %.1f MB", output, output.stat().st_size / 1e6)
