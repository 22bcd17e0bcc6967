"""The page of a sweep: scores of the model after every kept epoch, as curves; offline, no script.

Conventions
-----------
- A model is an epoch where its config.yaml says of which experiment (`epoch_of`, `epoch`). Scores are those of its
  evaluation files, as they are; nothing is computed here and no epoch is marked as the best: who chooses an epoch by
  these curves chooses by the test score, which the page says.
- The table beside the page has a row a score: experiment, epoch, dataset, evaluation, measure, value; measures of a
  pair of modalities are `t->va R@10`. What is no number is left out.
- Of the page's curves those of one measure share a panel: the pairs of modalities of retrieval, others alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mcn.errors import UserError
from mcn.files import csv_text, write_text
from mcn.report.curves import Panel, Series, thin
from mcn.report.measured import read_results
from mcn.report.render import environment

log = logging.getLogger(__name__)

COLUMNS = ("experiment", "epoch", "dataset", "evaluation", "measure", "value")
# of the curves: counts, and ranks, which are not percent
LEFT_OUT = ("n", "total", "MedR", "MeanR")


class EpochScore(NamedTuple):
    """One score of the model after one epoch; `pair` of modalities, '' where it has none."""

    experiment: str
    epoch: int
    dataset: str
    evaluation: str
    pair: str
    measure: str
    value: float

    @property
    def row(self) -> tuple[Any, ...]:
        """Its row of the table."""
        measure = f"{self.pair} {self.measure}" if self.pair else self.measure
        return (*self[:4], measure, self.value)


def write_sweep(results: Path, output: Path) -> None:
    """Write the page and, beside it, the table (.csv); `UserError` where no epoch was scored."""
    scores = sorted(epoch_scores(results))
    if not scores:
        cure = "set training.keep_epochs: 1, then snakemake sweep"
        raise UserError(f"no scores of epochs below {results}", "models of kept epochs", cure)
    write_text(output.with_suffix(".csv"), csv_text([COLUMNS, *(one.row for one in scores)]))
    page = environment().get_template("sweep.html").render(sections=sections(scores))
    write_text(output, page)
    log.info("%s: %d scores of %d epochs", output, len(scores), len({one[:2] for one in scores}))


def epoch_scores(results: Path) -> Iterator[EpochScore]:
    """Every score of every model that is an epoch."""
    for files in read_results(results):
        config_path = results / "models" / files.experiment / "config.yaml"
        config = yaml.safe_load(config_path.read_text()) if config_path.exists() else {}
        if "epoch_of" not in config:
            continue
        whole = str(config["epoch_of"]), int(config["epoch"]), files.dataset
        for task, value in files.tasks.items():
            for pair, measure, score in _numbers(value["scores"]):
                yield EpochScore(*whole, task, pair, measure, score)


def _numbers(scores: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    for name, value in scores.items():
        if isinstance(value, Mapping):
            for measure, score in value.items():
                if isinstance(score, int | float):
                    yield name, measure, float(score)
        elif isinstance(value, int | float):
            yield "", name, float(value)


def sections(scores: list[EpochScore]) -> dict[str, list[Panel]]:
    """Experiment -> a panel for each data set, evaluation and measure, its curves over the epochs."""
    curves: dict[str, dict[str, dict[str, list[tuple[int, float]]]]] = {}
    for one in scores:
        if one.measure not in LEFT_OUT:
            title = f"{one.dataset}, {one.evaluation}: {one.measure}"
            panel = curves.setdefault(one.experiment, {}).setdefault(title, {})
            panel.setdefault(one.pair or one.measure, []).append((one.epoch, one.value))
    return {
        experiment: [
            Panel("train", title, "epoch", _series(one), []) for title, one in found.items()
        ]
        for experiment, found in curves.items()
    }


def _series(curves: Mapping[str, list[tuple[int, float]]]) -> list[Series]:
    return [
        Series(label, thin([x for x, _ in one]), thin([y for _, y in one]), one[0][1], one[-1][1])
        for label, one in curves.items()
    ]
