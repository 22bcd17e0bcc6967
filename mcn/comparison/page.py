"""The page of a comparison: tables, curves and pictures, offline, every text escaped."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from mcn.comparison.measures import TRAINING, Row
from mcn.comparison.pictures import SIZE, Picture
from mcn.files import write_text
from mcn.options.comparison import ComparisonOptions
from mcn.report.curves import Panel
from mcn.report.render import environment

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
# what the page shows of a data set, if any objective has it; the rest is in the CSV
SHOWN = (
    *("t->va R@5", "t->va R@10", "t->v R@10", "v->a R@10"),
    *("recall", "mean_average_precision"),
    *("NMI of steps (v)", "NMI of steps (a)", "NMI of steps (va)", "chance NMI of steps (v)"),
)


@dataclass(frozen=True)
class Page:
    """What is shown; pictures: data set -> objective -> (by modality, by task) of its first run."""

    title: str
    synthetic: Sequence[str]
    options: ComparisonOptions
    objectives: Mapping[str, Sequence[str]]
    rows: Sequence[Row]
    panels: Sequence[Panel]
    pictures: Mapping[str, Mapping[str, tuple[Picture, Picture]]]

    @property
    def datasets(self) -> list[str]:
        """Data sets that there are measures of."""
        return list(dict.fromkeys(row.dataset for row in self.rows if row.dataset != TRAINING))

    def columns(self, dataset: str) -> list[str]:
        """Measures of a data set's table."""
        found = {row.measure for row in self.rows if row.dataset == dataset}
        return [name for name in SHOWN if name in found]

    def cell(self, objective: str, dataset: str, measure: str) -> Row | None:
        """One cell; None where the objective has no such measure."""
        wanted = objective, dataset, measure
        found = [row for row in self.rows if (row.objective, row.dataset, row.measure) == wanted]
        return found[0] if found else None

    def step_milliseconds(self, objective: str) -> Row | None:
        """Median duration of a training step."""
        return self.cell(objective, TRAINING, "step milliseconds")


def write_page(page: Page, output: Path) -> None:
    """Write the page atomically."""
    templates = environment()
    templates.loader = jinja2.ChoiceLoader(
        [jinja2.FileSystemLoader(FOLDER), templates.loader or jinja2.DictLoader({})]
    )
    write_text(output, templates.get_template("comparison.html").render(page=page, size=SIZE))
    logger.info("%s: %.1f MB", output, output.stat().st_size / 1e6)
