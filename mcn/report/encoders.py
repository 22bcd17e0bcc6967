"""The page of encoders: what each experiment's features cost, beside its scores; offline, no script.

Conventions
-----------
- Costs are those of `mcn.upkeep.costs`; what left no benchmark file (features that were imported) is `not measured`.
- Scores are those of the evaluation files, as they are: recalls of captions with their bootstrap intervals, recall of
  steps; chance stands beside. Nothing is computed here from embeddings.
- The table beside the page has a row a score: experiment, kind, features, the costs, dataset, measure, value, low,
  high, chance.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mcn.files import csv_text, write_text
from mcn.report.measured import Files, read_results
from mcn.report.render import environment
from mcn.upkeep.costs import ExperimentCost

log = logging.getLogger(__name__)

RECALLS = ("R@1", "R@5", "R@10")
COLUMNS = (
    *("experiment", "kind", "features", "cpu_seconds", "gpu_seconds", "megabytes", "peak_mib"),
    *("dataset", "measure", "value", "low", "high", "chance"),
)


class Score(NamedTuple):
    """One score, percent; low, high: its interval, None where it has none."""

    dataset: str
    measure: str
    value: float | None
    low: float | None
    high: float | None
    chance: float | None
    synthetic: bool


@dataclass(frozen=True)
class Line:
    """One experiment: what it reads and costs, and its scores."""

    read: ExperimentCost
    scores: list[Score]


def write_encoders(
    costs: Sequence[ExperimentCost], datasets: Collection[str], results: Path, output: Path
) -> None:
    """Write the page `output` (.html) and its table (.csv): what the run cost, and its scores on `datasets`."""
    lines = lines_of(costs, [one for one in read_results(results) if one.dataset in datasets])
    measures = list(dict.fromkeys((s.dataset, s.measure) for line in lines for s in line.scores))
    synthetic = sorted({s.dataset for line in lines for s in line.scores if s.synthetic})
    page = environment().get_template("encoders.html")
    write_text(output, page.render(lines=lines, measures=measures, synthetic=synthetic))
    write_text(output.with_suffix(".csv"), csv_text([COLUMNS, *_rows(lines)]))
    log.info("%s, .csv: %d experiments", output, len(lines))


def lines_of(costs: Sequence[ExperimentCost], files: Sequence[Files]) -> list[Line]:
    """A line an experiment, in the order of `costs`."""
    return [
        Line(
            read,
            [
                score
                for one in files
                if one.experiment == read.experiment
                for score in scores_of(one)
            ],
        )
        for read in costs
    ]


def scores_of(files: Files) -> Iterator[Score]:
    """Recalls of captions against each side (of a model without text those of its first pair), and recall of steps."""
    retrieval, steps = files.tasks.get("retrieval"), files.tasks.get("localization")
    pairs = list(retrieval["scores"]) if retrieval else []
    for pair in [one for one in pairs if one.startswith("t->")] or pairs[:1]:
        for name in RECALLS:
            assert retrieval is not None
            interval = retrieval["intervals"].get(pair, {}).get(name, (None, None))
            value, chance = (retrieval[key][pair][name] for key in ("scores", "chance"))
            yield _score(files, retrieval, f"{pair} {name}", value, interval, chance)
    if steps:
        value, chance = (steps[key]["recall"] for key in ("scores", "chance"))
        yield _score(files, steps, "step recall", value, (None, None), chance)


def _score(
    files: Files,
    task: Mapping[str, Any],
    measured: str,
    value: float | None,
    interval: tuple[float | None, float | None],
    chance: float | None,
) -> Score:
    return Score(files.dataset, measured, value, *interval, chance, bool(task.get("synthetic")))


def _rows(lines: Sequence[Line]) -> Iterator[list[object]]:
    for line in lines:
        cost = line.read.cost or ("", "", "", "")
        costs = [round(one, 3) if isinstance(one, float) else one for one in cost]
        experiment = [line.read.experiment, line.read.kind, line.read.features, *costs]
        for score in line.scores:
            numbers = [
                "" if one is None else one
                for one in (score.value, score.low, score.high, score.chance)
            ]
            yield [*experiment, score.dataset, score.measure, *numbers]
