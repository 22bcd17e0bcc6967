"""The numbers of a comparison: every measure of every run, gathered by objective and data set."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mcn.comparison.spaces import CaptionRanks
from mcn.comparison.statistics import Difference, Summary, summarize
from mcn.evaluation.retrieval.metrics import RECALLS, hits
from mcn.report.curves import read_metrics

SEED_SUFFIX = re.compile(r"_seed\d+$")
RETRIEVAL_MEASURES = ("R@1", "R@5", "R@10", "MedR", "MeanR")
LOCALIZATION_MEASURES = ("recall", "mean_average_precision")
TRAINING = "training"  # stands where a data set's name would, for the cost of training


@dataclass(frozen=True)
class Row:
    """One measure of one objective on one data set; difference: to the baseline, where it is taken."""

    objective: str
    dataset: str
    measure: str
    summary: Summary
    difference: Difference | None = None


@dataclass
class Measured:
    """(objective, data set, measure) -> the values of the runs, in the order of first occurrence."""

    values: dict[tuple[str, str, str], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, objective: str, dataset: str, found: Mapping[str, float | None]) -> None:
        """Note what one run measured; undefined numbers are left out."""
        for measure, value in found.items():
            if value is not None:
                self.values[objective, dataset, measure].append(value)

    def rows(self, differences: Mapping[tuple[str, str, str], Difference]) -> list[Row]:
        """A row a measure."""
        summaries = {key: summarize(values) for key, values in self.values.items()}
        return [
            Row(*key, summary, differences.get(key))
            for key, summary in summaries.items()
            if summary is not None
        ]


def runs_by_objective(experiments: Iterable[str]) -> dict[str, list[str]]:
    """Objective -> its runs, both in the order of the configuration.

    >>> runs_by_objective(["mcn_seed1", "mcn_seed2", "mms"])
    {'mcn': ['mcn_seed1', 'mcn_seed2'], 'mms': ['mms']}
    """
    grouped: dict[str, list[str]] = {}
    for name in experiments:
        grouped.setdefault(SEED_SUFFIX.sub("", name), []).append(name)
    return grouped


def evaluation_scores(path: Path) -> dict[str, float | None]:
    """Measures of an evaluation's file: `t->va R@10` and so on, recall and mean average precision, `NAME score`."""
    scores: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["scores"]
    if path.name.endswith(".retrieval.json"):
        return {
            f"{pair} {name}": found[name]
            for pair, found in scores.items()
            for name in RETRIEVAL_MEASURES
        }
    if path.name.endswith(".localization.json"):
        return {name: scores[name] for name in LOCALIZATION_MEASURES}
    own = path.name.removesuffix(".json").rpartition(".")[2]
    return {f"{own} {name}": value for name, value in scores.items()}


def training_cost(metrics: Path) -> dict[str, float | None]:
    """Median milliseconds of a step, and clips a second."""
    records = read_metrics(metrics)
    steps = [record["time/step_seconds"] for record in records if "time/step_seconds" in record]
    return {"step milliseconds": 1000 * float(np.median(steps)) if steps else None}


def caption_hits(found: Sequence[CaptionRanks], pair: str) -> dict[str, np.ndarray]:
    """Measure -> percent (runs, Q): 100 where a query is right at k."""
    ranks = np.stack([one.ranks[pair] for one in found])
    return {f"{pair} R@{k}": np.stack([100.0 * hits(one, k) for one in ranks]) for k in RECALLS}


def epoch_means(paths: Sequence[Path], key: str) -> tuple[list[float], list[float]]:
    """Epochs, and the mean over runs of a key of metrics.jsonl; epochs that not every run has are left out."""
    gathered: dict[float, list[float]] = defaultdict(list)
    for path in paths:
        for record in read_metrics(path):
            if record.get(key) is not None:
                gathered[float(record["epoch"])].append(record[key])
    kept = {epoch: found for epoch, found in gathered.items() if len(found) == len(paths)}
    return list(kept), [float(np.mean(found)) for found in kept.values()]
