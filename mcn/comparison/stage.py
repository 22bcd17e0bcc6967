"""The stage `compare experiments`: every run of a configuration -> one page and one table.

Conventions
-----------
- `comparison.csv`: a row for every objective, data set and measure: runs, mean, spread, and for recalls of captions the
  difference to the baseline with its interval. Percent, but for MedR and MeanR (ranks) and milliseconds.
- Measures of a task that an objective cannot be scored at (it trains no text, no sound) have no row. A difference is
  taken of pairs that both have.
- Missing runs are an error that names them all.
"""

from __future__ import annotations

import csv
import io
import logging
from pathlib import Path

import numpy as np

from mcn.comparison.clusters import agreement
from mcn.comparison.measures import (
    TRAINING,
    Measured,
    Row,
    caption_hits,
    epoch_means,
    evaluation_scores,
    runs_by_objective,
    training_cost,
)
from mcn.comparison.page import Page, write_page
from mcn.comparison.pictures import Picture, draw, principal_directions
from mcn.comparison.spaces import CaptionRanks, StepVectors, caption_ranks, step_vectors
from mcn.comparison.statistics import Difference, paired_difference
from mcn.config.configuration import Configuration
from mcn.errors import UserError, several
from mcn.files import write_text
from mcn.layout import Dataset
from mcn.options.comparison import ComparisonOptions
from mcn.options.sections import compared_tasks
from mcn.report.curves import Panel, Series

logger = logging.getLogger(__name__)

LOSS = "epoch_loss/total"  # drawn as a share of its first epoch's
CURVES = ("early/t->va/R@10", "early/t->v/R@10", LOSS)
MODALITIES = {"v": "video", "a": "audio"}


class Comparison:
    """The runs of a configuration below `results`. A baseline that is no objective, missing files: `UserError`."""

    def __init__(self, settings: Configuration, results: Path, options: ComparisonOptions) -> None:
        self.settings, self.results, self.options = settings, results, options
        self.objectives = runs_by_objective(settings.experiments)
        if options.baseline not in self.objectives:
            raise UserError(
                f"baseline {options.baseline!r}",
                f"one of {', '.join(self.objectives)}",
                "set baseline to one of these",
            )
        self.measured = Measured()
        self.differences: dict[tuple[str, str, str], Difference] = {}
        self.pictures: dict[str, dict[str, tuple[Picture, Picture]]] = {}
        missing = [str(path) for path in self.files() if not path.exists()]
        if missing:
            wanted = "the files of every run"
            raise several(missing, wanted, "snakemake --cores N comparison")

    def files(self) -> list[Path]:
        """Every file of the runs that is read."""
        models = [self._model(run) / "metrics.jsonl" for run in self.settings.experiments]
        return [*models, *(path for _, _, path in self._evaluations())]

    def run(self) -> list[Row]:
        """Measure everything; rows in the order of objectives."""
        for objective, runs in self.objectives.items():
            for run in runs:
                cost = training_cost(self._model(run) / "metrics.jsonl")
                self.measured.add(objective, TRAINING, cost)
        for objective, dataset, path in self._evaluations():
            self.measured.add(objective, dataset, evaluation_scores(path))
        for dataset in self._sets("retrieval"):
            self._compare_captions(dataset)
        for dataset in self._sets("localization"):
            self._cluster_steps(dataset)
        return self.measured.rows(self.differences)

    def panels(self) -> list[Panel]:
        """Means over the runs by epoch, a line an objective."""
        panels = []
        for key in CURVES:
            series = []
            for objective, runs in self.objectives.items():
                paths = [self._model(run) / "metrics.jsonl" for run in runs]
                x, y = epoch_means(paths, key)
                if key == LOSS:
                    y = [value / y[0] for value in y] if y and y[0] else []
                if y:
                    series.append(Series(objective, x, y, y[0], y[-1]))
            if series:
                group, title = key.rsplit("/", 1)
                panels.append(Panel(group, title, "epoch", series, []))
        return panels

    def _model(self, run: str) -> Path:
        return self.results / "models" / run

    def _sets(self, task: str) -> list[str]:
        return self.settings.evaluation_sets()[task]

    def _evaluations(self) -> list[tuple[str, str, Path]]:
        """(objective, data set, file) of every evaluation of every run."""
        folder = self.results / "evaluation"
        return [
            (objective, dataset, folder / run / f"{dataset}.{task}.json")
            for objective, runs in self.objectives.items()
            for run in runs
            for task in compared_tasks(self.settings.datasets.values())
            for dataset in self._sets(task)
            for own in [self.settings.datasets[dataset].evaluations.get(task)]
            if self.settings.experiments[run].measurable(task, own)
        ]

    def _dataset(self, name: str) -> Dataset:
        return Dataset(self.results / name, self.settings.datasets[name].shards)

    def _compare_captions(self, dataset: str) -> None:
        files, options = self._dataset(dataset), self.settings.datasets[dataset]
        found: dict[str, list[CaptionRanks]] = {}
        for objective, runs in self.objectives.items():
            logger.info("%s: ranks of captions of %s", objective, dataset)
            if self.settings.experiments[runs[0]].measurable("retrieval"):
                found[objective] = [caption_ranks(self._model(run), files, options) for run in runs]
        baseline = found.get(self.options.baseline, [])
        for objective, ours in found.items():
            if objective != self.options.baseline and baseline:
                self._note_differences(objective, dataset, ours, baseline)

    def _note_differences(
        self, objective: str, dataset: str, ours: list[CaptionRanks], theirs: list[CaptionRanks]
    ) -> None:
        chosen = self.options
        for pair in ours[0].ranks:
            if pair not in theirs[0].ranks:
                continue
            base = caption_hits(theirs, pair)
            for measure, values in caption_hits(ours, pair).items():
                self.differences[objective, dataset, measure] = paired_difference(
                    values,
                    base[measure],
                    ours[0].videos[pair],
                    chosen.draws,
                    chosen.level,
                    chosen.seed,
                )

    def _cluster_steps(self, dataset: str) -> None:
        files, options = self._dataset(dataset), self.settings.datasets[dataset]
        for objective, runs in self.objectives.items():
            logger.info("%s: clusters of steps of %s", objective, dataset)
            for number, run in enumerate(runs):
                found = step_vectors(self._model(run), files, options)
                self.measured.add(objective, dataset, self._agreement(found))
                if number == 0:
                    self.pictures.setdefault(dataset, {})[objective] = pictures_of(found)

    def _agreement(self, found: StepVectors) -> dict[str, float | None]:
        chosen = self.options
        return {
            f"{name} of steps ({letters})": value
            for letters, vectors in found.vectors.items()
            for name, value in agreement(
                vectors, found.labels, chosen.kmeans_runs, chosen.seed
            ).items()
        }


def pictures_of(found: StepVectors) -> tuple[Picture, Picture]:
    """Segments and step texts coloured by modality, and segments coloured by task, in the same two directions."""
    parts = {
        MODALITIES[letter]: found.vectors[letter]
        for letter in found.vectors
        if letter in MODALITIES
    }
    if len(found.texts):
        parts["text"] = found.texts
    places, percent = principal_directions(np.concatenate(list(parts.values())))
    names = [name for name, vectors in parts.items() for _ in vectors]
    segments = len(names) - len(found.texts)
    tasks = found.tasks * (segments // len(found.tasks))
    return draw(places, percent, names), draw(places[:segments], percent, tasks)


def compare(
    settings: Configuration, results: Path, output: Path, options: ComparisonOptions
) -> list[Row]:
    """Write `output` (.html) and the table beside it (.csv); returns the rows."""
    comparison = Comparison(settings, results, options)
    rows = comparison.run()
    synthetic = [name for name, dataset in settings.datasets.items() if dataset.synthetic]
    write_text(output.with_suffix(".csv"), table_of(rows))
    write_page(
        Page(
            settings.title,
            synthetic,
            options,
            comparison.objectives,
            rows,
            comparison.panels(),
            comparison.pictures,
        ),
        output,
    )
    return rows


def table_of(rows: list[Row]) -> str:
    """The rows as CSV; empty cells where there is nothing."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["objective", "dataset", "measure", "runs", "mean", "spread"]
    writer.writerow([*head, "difference", "difference_low", "difference_high"])
    for row in rows:
        mean, spread, runs = row.summary
        values = [mean, spread, *(row.difference or (None, None, None))]
        cells = ["" if value is None else f"{value:.6g}" for value in values]
        writer.writerow([row.objective, row.dataset, row.measure, runs, *cells])
    return text.getvalue()
