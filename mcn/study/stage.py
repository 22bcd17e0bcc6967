"""The result of a study: every trial's scores -> `study.html`, and its tables as CSV beside it.

Conventions
-----------
- study_scores.csv: condition, objective, seed, measure, value: what each trial came to, percent (milliseconds).
- study_effects.csv: the difference of every objective to the baseline in every condition and primary measure, with
  interval, p, p corrected within its family, and verdict. With two conditions or more each objective has a row for the
  change of its difference from the first condition to each other one, in the secondary family. Under
  `study.averaged` the primary rows are of the mean over the conditions, and those of each condition are secondary.
- A verdict is `better` or `worse` where the corrected p is below the level; `no difference` where it is not and the
  interval lies inside the smallest effect worth having on both sides; else `undecided`.
- Measures of a task that an objective cannot be scored at have no row.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from mcn.config.configuration import Configuration
from mcn.config.study import Trial, objectives_of, study_of, trials_of
from mcn.files import csv_text, write_text
from mcn.options.study import Measure, StudyOptions
from mcn.report.curves import Panel, Series, read_metrics
from mcn.study.page import Page, write_page
from mcn.study.plan import PRIMARY, SECONDARY, TRIALS, Scores, families
from mcn.study.statistics import Difference, Share, difference, holm, share

logger = logging.getLogger(__name__)

# condition, objective, measure, (seeds, videos) differences
Cell = tuple[str, str, Measure, np.ndarray]
LOSS = "epoch_loss/total"  # drawn as a share of its first epoch's
CURVES = {
    "early/t->va/R@10": "t → va R@10",
    "early/t->v/R@10": "t → v R@10",
    LOSS: "loss, share of the first epoch’s",
}


@dataclass(frozen=True)
class Effect:
    """One difference to the baseline; `corrected`: its p within its family; smallest: worth having, None: not said."""

    family: str
    condition: str
    objective: str
    measure: str
    difference: Difference
    corrected: float
    smallest: float | None
    verdict: str

    @property
    def small(self) -> bool:
        """Whether the whole interval lies inside the smallest effect worth having."""
        ends = max(-self.difference.low, self.difference.high)
        return self.smallest is not None and ends < self.smallest


@dataclass(frozen=True)
class Mean:
    """Mean and sample standard deviation over seeds of one measure of one objective in one condition."""

    mean: float
    spread: float
    runs: int


class Study:
    """The trials of a finished study below `results`; missing scores: `UserError` that names them."""

    def __init__(self, settings: Configuration, results: Path) -> None:
        self.settings, self.results = settings, results
        self.options, self.objectives = study_of(settings), objectives_of(settings)
        self.scores = Scores(results, trials_of(settings, "test"))
        self.trials: dict[tuple[str, str], list[Trial]] = defaultdict(list)
        for one in self.scores.found:
            self.trials[one.condition, one.objective].append(one)

    def matrix(self, condition: str, objective: str, measure: str) -> np.ndarray | None:
        """(seeds, videos) differences to the baseline; None where one of both has no such measure."""
        ours = self.trials[condition, objective]
        theirs = self.trials[condition, self.options.baseline][: len(ours)]
        if not all(self.scores.has(one[0], measure) for one in (ours, theirs)):
            return None
        return self.scores.by_video(ours, measure) - self.scores.by_video(theirs, measure)

    def effects(self) -> list[Effect]:
        """Every difference, corrected within its family."""
        found: list[Effect] = []
        for family, objectives in families(self.options, self.objectives).items():
            if family == PRIMARY and self.options.averaged:
                cells = self._averages(objectives)
            else:
                cells = self._cells(objectives)
            if family == SECONDARY:
                if self.options.averaged:
                    cells += self._cells(families(self.options, self.objectives)[PRIMARY])
                cells += self._changes()
            tested = [difference(matrix, self.options.level) for *_, matrix in cells]
            corrected = holm([one.p for one in tested])
            for (condition, objective, measure, _), one, p in zip(
                cells, tested, corrected, strict=True
            ):
                smallest = self.options.smallest_effect.get(measure)
                verdict = verdict_of(one, p, smallest, self.options.level)
                found.append(
                    Effect(family, condition, objective, measure, one, p, smallest, verdict)
                )
        return found

    def _cells(self, objectives: Sequence[str]) -> list[Cell]:
        """The differences of some objectives in each condition."""
        return [
            (condition, objective, measure, matrix)
            for measure, condition, objective in product(
                self.options.measures, self.options.condition_names, objectives
            )
            for matrix in [self.matrix(condition, objective, measure)]
            if matrix is not None
        ]

    def _averages(self, objectives: Sequence[str]) -> list[Cell]:
        """The mean differences of some objectives over the conditions."""
        by_objective: dict[tuple[str, Measure], list[np.ndarray]] = defaultdict(list)
        for _, objective, measure, matrix in self._cells(objectives):
            by_objective[objective, measure].append(matrix)
        name = f"mean of {' and '.join(self.options.condition_names)}"
        return [(name, *key, np.mean(found, axis=0)) for key, found in by_objective.items()]

    def _changes(self) -> list[Cell]:
        """How the primary differences change from the first condition to each other one."""
        first, *others = self.options.condition_names
        cells: list[Cell] = []
        for measure, other in product(self.options.measures, others):
            for objective in families(self.options, self.objectives)[PRIMARY]:
                here, there = (self.matrix(one, objective, measure) for one in (first, other))
                if here is not None and there is not None:
                    cells.append((f"{other} less {first}", objective, measure, there - here))
        return cells

    def shares(self, effects: Sequence[Effect]) -> list[tuple[Effect, Share]]:
        """Of the primary objectives' effects: the share of the bound's gain, where the bound gains anything."""
        gains = {
            (one.condition, one.measure)
            for one in effects
            if one.objective == self.options.bound and one.verdict == "better"
        }
        found = []
        for one in effects:
            place = one.condition, one.measure
            primary = one.objective in families(self.options, self.objectives)[PRIMARY]
            if primary and place in gains and self.options.bound:
                ours = self.matrix(one.condition, one.objective, one.measure)
                bound = self.matrix(one.condition, self.options.bound, one.measure)
                assert ours is not None
                assert bound is not None
                found.append((one, share(ours[: len(bound)], bound, self.options.level)))
        return found

    def means(self) -> dict[tuple[str, str, str], Mean]:
        """(condition, objective, measure) -> mean and spread over seeds, of everything that was measured."""
        values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        for trial, measure, value in self.rows():
            values[trial.condition, trial.objective, measure].append(value)
        return {
            key: Mean(float(np.mean(one)), float(np.std(one, ddof=1)), len(one))
            for key, one in values.items()
        }

    def rows(self) -> Iterable[tuple[Trial, str, float]]:
        """Every number of every trial."""
        for trial, found in self.scores.found.items():
            for measure in found["measures"]:
                yield trial, measure, self.scores.value(trial, measure)
            for name, value in found["others"].items():
                yield trial, name, float(value)

    def look_alikes(self) -> dict[str, Mapping[str, float]]:
        """Condition -> how many clips of a batch have a true step, and a look-alike of another video, percent."""
        return {
            condition: found["clips"]
            for condition in self.options.condition_names
            for found in [self.scores.found[self.trials[condition, self.options.baseline][0]]]
            if found["clips"]
        }

    def pictures(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """(condition, objective) -> drawings of the space of its first trial."""
        return {
            key: self.scores.found[trials[0]]["pictures"] for key, trials in self.trials.items()
        }

    def panels(self) -> list[Panel]:
        """Means over seeds by epoch, a panel a condition and key, a line an objective."""
        panels = []
        for key, condition in product(CURVES, self.options.condition_names):
            series = []
            for objective in self.objectives:
                trials = self.trials[condition, objective]
                paths = [self.results / TRIALS / one.name / "metrics.jsonl" for one in trials]
                x, y = epoch_means(paths, key)
                if key == LOSS:
                    y = [value / y[0] for value in y] if y and y[0] else []
                if y:
                    series.append(Series(objective, x, y, y[0], y[-1]))
            if series:
                panels.append(Panel(condition, CURVES[key], "epoch", series, []))
        return panels


def verdict_of(found: Difference, corrected: float, smallest: float | None, level: float) -> str:
    """See Conventions."""
    if corrected < level:
        return "better" if found.value > 0 else "worse"
    inside = smallest is not None and max(-found.low, found.high) < smallest
    return "no difference" if inside else "undecided"


def epoch_means(paths: Sequence[Path], key: str) -> tuple[list[float], list[float]]:
    """Epochs, and the mean over runs of a key of metrics.jsonl; epochs that not every run has are left out."""
    gathered: dict[float, list[float]] = defaultdict(list)
    for path in paths:
        for record in read_metrics(path):
            if record.get(key) is not None:
                gathered[float(record["epoch"])].append(record[key])
    kept = {epoch: found for epoch, found in gathered.items() if len(found) == len(paths)}
    return list(kept), [float(np.mean(found)) for found in kept.values()]


def conclude(settings: Configuration, results: Path, output: Path) -> list[Effect]:
    """Write `output` (.html), NAME_scores.csv and NAME_effects.csv beside it; the effects are returned."""
    study = Study(settings, results)
    effects = study.effects()
    scores = [
        (one.condition, one.objective, one.seed, measure, f"{value:.6g}")
        for one, measure, value in study.rows()
    ]
    _write(output, "scores", ("condition", "objective", "seed", "measure", "value"), scores)
    head = ("family", "condition", "objective", "baseline", "measure", "seeds", "difference")
    tested = [
        (
            *(one.family, one.condition, one.objective, study.options.baseline, one.measure),
            len(study.options.seeds_of(one.objective)),
            *(f"{value:.6g}" for value in one.difference),
            f"{one.corrected:.6g}",
            one.verdict,
        )
        for one in effects
    ]
    tail = ("low", "high", "p", "standard_error", "freedom", "p_corrected", "verdict")
    _write(output, "effects", (*head, *tail), tested)
    write_page(_page(study, effects), output)
    return effects


def _page(study: Study, effects: list[Effect]) -> Page:
    settings, options = study.settings, study.options
    return Page(
        title=settings.title,
        synthetic=settings.datasets[options.test].synthetic,
        options=options,
        objectives=study.objectives,
        effects=effects,
        means=study.means(),
        panels=study.panels(),
        look_alikes=study.look_alikes(),
        pictures=study.pictures(),
        benefits=benefits(study, options),
        shares=study.shares(effects),
    )


def benefits(study: Study, options: StudyOptions) -> list[tuple[str, str, float, float]]:
    """(condition, objective, gain in NMI, gain in the first measure) of every trial over the baseline's of its seed."""
    found = []
    for (condition, objective), trials in study.trials.items():
        first, baseline = options.measures[0], study.trials[condition, options.baseline]
        if objective == options.baseline:
            continue
        for ours, theirs in zip(trials, baseline, strict=False):  # of the seeds that both have
            if all(study.scores.has(t, m) for t in (ours, theirs) for m in ("NMI", first)):
                gains = [
                    study.scores.value(ours, m) - study.scores.value(theirs, m)
                    for m in ("NMI", first)
                ]
                found.append((condition, objective, gains[0], gains[1]))
    return found


def _write(output: Path, name: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    write_text(output.with_name(f"{output.stem}_{name}.csv"), csv_text([head, *rows]))
