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
from mcn.report.figures import Tick, round_ticks
from mcn.report.render import environment
from mcn.study.pictures import SIZE
from mcn.study.plan import PRIMARY

if TYPE_CHECKING:
    from mcn.study.stage import Effect, Mean
    from mcn.study.statistics import Share

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
WIDE, ROW = 330.0, 20.0  # SVG units of a drawing of intervals, and of one row of it
ABOUT_TICKS = 6
COST = "step milliseconds"


@dataclass(frozen=True)
class Interval:
    """One row of a drawing: places in SVG units, `y` of its middle, and what is written."""

    label: str
    y: float
    low: float
    high: float
    at: float
    words: str
    verdict: str


@dataclass(frozen=True)
class Forest:
    """Differences of one measure in all conditions; headings: (y, condition); band: differences not worth having."""

    measure: str
    headings: list[tuple[float, str]]
    intervals: list[Interval]
    ticks: list[Tick]
    zero: float
    band: tuple[float, float] | None
    height: float


@dataclass(frozen=True)
class Dot:
    """A trial in SVG units of a square of `SIZE`: number of its objective, and whether its condition is the first."""

    x: float
    y: float
    group: int
    first: bool


@dataclass(frozen=True)
class Dots:
    """Points, where the axes cross, names of the groups, and ticks to the right and upwards."""

    points: list[Dot]
    zero: tuple[float, float]
    groups: list[str]
    across: list[Tick]
    upwards: list[Tick]


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

    def verdicts(self) -> list[tuple[str, dict[str, list[Effect]]]]:
        """(objective, verdict -> its tests of the primary family) of every objective that the conclusion rests on."""
        primary = [one for one in self.effects if one.family == PRIMARY]
        found: dict[str, dict[str, list[Effect]]] = {one.objective: {} for one in primary}
        for one in primary:
            found[one.objective].setdefault(one.verdict, []).append(one)
        return list(found.items())

    def forests(self) -> list[Forest]:
        """A drawing for each measure, a group of rows for each condition."""
        drawn = []
        for measure in self.options.measures:
            rows = [one for one in self.effects if one.measure == measure]
            if rows:
                drawn.append(_forest(measure, rows, self.conditions))
        return drawn

    def dots(self) -> Dots | None:
        """Gain in NMI to the right, gain in the first measure upwards, of every trial."""
        if not self.benefits:
            return None
        groups = list(dict.fromkeys(objective for _, objective, _, _ in self.benefits))
        across = Scale.of([x for _, _, x, _ in self.benefits], SIZE)
        upwards = Scale.of([y for _, _, _, y in self.benefits], -SIZE)
        first = self.options.condition_names[0]
        points = [
            Dot(across.at(x), SIZE + upwards.at(y), groups.index(objective), condition == first)
            for condition, objective, x, y in self.benefits
        ]
        ticks = [Tick(SIZE + one.at, one.label) for one in upwards.ticks()]
        return Dots(points, (across.at(0), SIZE + upwards.at(0)), groups, across.ticks(), ticks)


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` on a line of `length` SVG units; a negative length runs backwards."""

    low: float
    high: float
    length: float

    @classmethod
    def of(cls, values: Sequence[float], length: float) -> Scale:
        """One that holds 0 and all values, and ends at round numbers."""
        marks = round_ticks(min(0.0, *values), max(0.0, *values), ABOUT_TICKS)
        return cls(marks[0], marks[-1], length)

    def at(self, value: float) -> float:
        """Where a value lies."""
        return self.length * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[Tick]:
        """Round values and their places."""
        marks = round_ticks(self.low, self.high, ABOUT_TICKS)
        return [Tick(self.at(one), f"{one:+g}" if one else "0") for one in marks]


def _forest(measure: str, effects: Sequence[Effect], conditions: Sequence[str]) -> Forest:
    smallest = effects[0].smallest
    ends = [end for one in effects for end in (one.difference.low, one.difference.high)]
    scale = Scale.of([*ends, *((-smallest, smallest) if smallest else ())], WIDE)
    headings, intervals, y = [], [], ROW / 2
    for condition in conditions:
        headings.append((y, condition))
        for one in (one for one in effects if one.condition == condition):
            y += ROW
            found = one.difference
            places = scale.at(found.low), scale.at(found.high), scale.at(found.value)
            corrected = "p < 0.001" if one.corrected < 0.001 else f"p {one.corrected:.2g}"
            interval = f"{found.value:+.1f} ({found.low:+.1f} to {found.high:+.1f})"
            words = f"{interval}, {corrected}: {_verdict(one)}"
            intervals.append(Interval(one.objective, y, *places, words, one.verdict))
        y += 1.4 * ROW
    band = (scale.at(-smallest), scale.at(smallest)) if smallest else None
    return Forest(measure, headings, intervals, scale.ticks(), scale.at(0), band, y - ROW)


def _verdict(effect: Effect) -> str:
    """A change between conditions is larger or smaller, nothing that is better; what is told apart may be small."""
    told_apart = effect.verdict in ("better", "worse")
    words = effect.verdict
    if told_apart and " less " in effect.condition:
        words = "larger" if effect.verdict == "better" else "smaller"
    return f"{words}, within the grey" if told_apart and effect.small else words


def write_page(page: Page, output: Path) -> None:
    """Write the page atomically."""
    templates = environment()
    templates.loader = jinja2.ChoiceLoader(
        [jinja2.FileSystemLoader(FOLDER), templates.loader or jinja2.DictLoader({})]
    )
    text = templates.get_template("study.html").render(page=page, size=SIZE, wide=WIDE, row=ROW)
    write_text(output, text)
    logger.info("%s: %.1f MB", output, output.stat().st_size / 1e6)
