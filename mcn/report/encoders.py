"""The page of encoders: what each experiment's features cost, beside its scores; offline, no script.

Conventions
-----------
- Cost of an experiment: that of the decoding passes and of the features of frames and sound that its model reads, for
  an hour of video. cpu_seconds of its jobs, and gpu_seconds (wall time) of those on a GPU, start-up included; megabytes
  of feature shards; peak_mib: of its largest job. A pass that several features share counts whole. What left no
  benchmark file (features that were imported) is `not measured`.
- Scores are those of the evaluation files, as they are: recalls of captions with their bootstrap intervals, recall of
  steps; chance stands beside. Nothing is computed here from embeddings.
- The table beside the page has a row a score: experiment, kind, features, the costs, dataset, measure, value, low,
  high, chance.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mcn.config.configuration import Configuration
from mcn.config.features import with_sources
from mcn.files import csv_text, write_text
from mcn.report.measured import Files, read_results
from mcn.report.render import environment
from mcn.upkeep.costs import JobCost, measure

log = logging.getLogger(__name__)

RECALLS = ("R@1", "R@5", "R@10")
COLUMNS = (
    *("experiment", "kind", "features", "cpu_seconds", "gpu_seconds", "megabytes", "peak_mib"),
    *("dataset", "measure", "value", "low", "high", "chance"),
)


class Cost(NamedTuple):
    """For an hour of video; peak_mib of the largest job."""

    cpu_seconds: float
    gpu_seconds: float
    megabytes: float
    peak_mib: float


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
    """One experiment. cost: None where a feature of it was not made here."""

    experiment: str
    kind: str
    features: str
    cost: Cost | None
    scores: list[Score]


def write_encoders(settings: Configuration, results: Path, output: Path) -> None:
    """Write the page `output` (.html) and its table (.csv) of a finished run."""
    lines = lines_of(settings, measure(results, settings), read_results(results))
    measures = list(dict.fromkeys((s.dataset, s.measure) for line in lines for s in line.scores))
    synthetic = sorted({s.dataset for line in lines for s in line.scores if s.synthetic})
    page = environment().get_template("encoders.html")
    write_text(output, page.render(lines=lines, measures=measures, synthetic=synthetic))
    write_text(output.with_suffix(".csv"), csv_text([COLUMNS, *_rows(lines)]))
    log.info("%s, .csv: %d experiments", output, len(lines))


def lines_of(
    settings: Configuration, costs: Sequence[JobCost], files: Sequence[Files]
) -> list[Line]:
    """A line an experiment, in the order of the configuration."""
    found = []
    for name, experiment in settings.experiments.items():
        own = [one for one in files if one.experiment == name and one.dataset in settings.datasets]
        scores = [score for one in own for score in scores_of(one)]
        kind = "imported" if experiment.checkpoint else experiment.kind
        words = " + ".join(experiment.features.names)
        found.append(Line(name, kind, words, cost_of(settings, name, costs), scores))
    return found


def cost_of(settings: Configuration, experiment: str, costs: Sequence[JobCost]) -> Cost | None:
    """What the features of an experiment cost; None where a stage of them was not measured."""
    rows = settings.features
    names = with_sources(rows, settings.experiments[experiment].features.names)
    features = [name for name in names if rows[name].kind != "text"]
    streams = {rows[name].stream for name in features}
    passes = [
        f"decode_{name}"
        for name, decoded in settings.decode_passes().items()
        if streams & set(decoded)
    ]
    total = Cost(0.0, 0.0, 0.0, 0.0)
    for stage in [*passes, *features]:
        jobs = [job for job in costs if job.stage == stage]
        hours = sum(job.media_seconds for job in jobs) / 3600
        if not hours:
            return None
        on_gpu = [job for job in jobs if job.device == "cuda"]
        written = sum(job.output_bytes for job in jobs) / 1e6 if stage in features else 0.0
        total = Cost(
            total.cpu_seconds + sum(job.cpu_seconds for job in jobs) / hours,
            total.gpu_seconds + sum(job.wall_seconds for job in on_gpu) / hours,
            total.megabytes + written / hours,
            max(total.peak_mib, *(job.peak_mib for job in jobs)),
        )
    return total


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
        cost = line.cost or ("", "", "", "")
        costs = [round(one, 3) if isinstance(one, float) else one for one in cost]
        for score in line.scores:
            numbers = [
                "" if one is None else one
                for one in (score.value, score.low, score.high, score.chance)
            ]
            yield [
                line.experiment,
                line.kind,
                line.features,
                *costs,
                score.dataset,
                score.measure,
                *numbers,
            ]
