"""Everything that the report shows, read from a run's files into plain values. No HTML here.

Features are summed while they are read and at most some videos a shard are sampled (see `mcn.report.health`); of the
evaluation files a bounded number of queries and timelines is shown, so that the page stays small for any run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mcn.errors import several
from mcn.media.remote import Downloads
from mcn.report.accounts import Account, LeakCount, leak_count, read_account
from mcn.report.curves import Panel, alarms, panels, read_metrics
from mcn.report.evaluations import (
    Alignment,
    Evaluation,
    Localization,
    Own,
    Query,
    Recognition,
    Retrieval,
    evenly,
    read_evaluation,
    spread,
)
from mcn.report.facts import Fact, headlines
from mcn.report.health import FeatureHealth, TextHealth, feature_health
from mcn.report.provenance import Record, flatten, model_records, recipe_records, words
from mcn.report.tables import Page
from mcn.report.thumbnails import Picture, Thumbnails

InTime = TypeVar("InTime", Localization, Alignment)
QUERIES, TIMELINES = 16, 10  # shown of one evaluation, at most
SHOWN_IN_ALL = 48  # queries, and timelines, of the whole page


@dataclass(frozen=True)
class ReportInputs:
    """What the report is made from; every mapping may be empty.

    title: heading. synthetic: a note where the videos are rendered, '' otherwise. ledgers, videos: data set ->
    ledger.parquet, videos.parquet. evaluations: their files, of any task. models: experiment -> directory
    with model.safetensors, config.yaml, metrics.jsonl. features: data set -> feature -> shards. provenance: plain
    values (nested mappings are fine); scalars at its top are quoted in the head of the page. published: published
    tables with measured rows. leaks: training set -> leaks.csv. downloads: the cache of videos at addresses.
    """

    title: str
    synthetic: str = ""
    ledgers: Mapping[str, Path] = field(default_factory=dict)
    videos: Mapping[str, Path] = field(default_factory=dict)
    evaluations: list[Path] = field(default_factory=list)
    models: Mapping[str, Path] = field(default_factory=dict)
    features: Mapping[str, Mapping[str, list[Path]]] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    published: list[Page] = field(default_factory=list)
    leaks: Mapping[str, Path] = field(default_factory=dict)
    downloads: Downloads | None = None


@dataclass(frozen=True)
class Shown:
    """A query, the pictures of its top moments, and that of the true moment where it is not among them."""

    query: Query
    pictures: list[Picture]
    truth: Picture | None


@dataclass(frozen=True)
class RetrievalView:
    """A retrieval evaluation and the queries shown of it."""

    file: Retrieval
    queries: list[Shown]


@dataclass(frozen=True)
class Run:
    """Training of one experiment."""

    experiment: str
    panels: list[Panel]
    alarms: list[str]


@dataclass(frozen=True)
class Report:
    """The page's content, top to bottom."""

    title: str
    synthetic: str
    summary: list[tuple[str, str]]
    facts: list[Fact]
    retrievals: list[RetrievalView]
    localizations: list[Localization]
    alignments: list[Alignment]
    recognitions: list[Recognition]
    own: list[Own]
    published: list[Page]
    runs: list[Run]
    health: list[FeatureHealth]
    text_health: list[TextHealth]
    accounts: list[Account]
    records: list[Record]
    leaks: dict[str, LeakCount]


def collect(inputs: ReportInputs) -> Report:
    """Read everything. Errors: `UserError` for files that are missing (all are named) or not what they should be."""
    _check_files(inputs)
    evaluations = [read_evaluation(path) for path in inputs.evaluations]
    localizations = [entry for entry in evaluations if isinstance(entry, Localization)]
    retrievals = [entry for entry in evaluations if isinstance(entry, Retrieval)]
    accounts = [
        read_account(name, path, inputs.videos[name]) for name, path in inputs.ledgers.items()
    ]
    health = [
        feature_health(dataset, feature, paths)
        for dataset, features in inputs.features.items()
        for feature, paths in features.items()
    ]
    alignments = [entry for entry in evaluations if isinstance(entry, Alignment)]
    timelines = _share(TIMELINES, len(localizations) + len(alignments))
    return Report(
        inputs.title,
        inputs.synthetic,
        [
            (key, words(v))
            for key, v in inputs.provenance.items()
            if not isinstance(v, Mapping | list)
        ],
        headlines(retrievals, localizations, accounts),
        _views(retrievals, Thumbnails(inputs.videos, inputs.downloads)),
        [_thinned(entry, timelines) for entry in localizations],
        [_thinned(entry, timelines) for entry in alignments],
        [entry for entry in evaluations if isinstance(entry, Recognition)],
        [entry for entry in evaluations if isinstance(entry, Own)],
        inputs.published,
        [_run(name, directory) for name, directory in inputs.models.items()],
        [entry for entry in health if isinstance(entry, FeatureHealth)],
        [entry for entry in health if isinstance(entry, TextHealth)],
        accounts,
        [
            *model_records(inputs.models),
            *recipe_records(inputs.features),
            *_given_records(inputs, evaluations),
        ],
        {name: leak_count(path) for name, path in inputs.leaks.items()},
    )


def _check_files(inputs: ReportInputs) -> None:
    """`UserError` naming every input file that does not exist."""
    wanted = [*inputs.ledgers.values(), *inputs.videos.values(), *inputs.evaluations]
    wanted += inputs.leaks.values()
    wanted += [
        directory / name
        for directory in inputs.models.values()
        for name in ("model.safetensors", "config.yaml", "metrics.jsonl")
    ]
    wanted += [
        path
        for features in inputs.features.values()
        for paths in features.values()
        for path in paths
    ]
    lost = [f"no file {path}" for path in wanted if not path.exists()]
    if lost:
        raise several(lost, "the files of a finished run", "make them: snakemake --cores N")


def _share(most: int, files: int) -> int:
    return min(most, max(4, SHOWN_IN_ALL // max(files, 1)))


def _thinned(entry: InTime, timelines: int) -> InTime:
    """The evaluation with so many of its timelines."""
    return entry.model_copy(update={"timelines": evenly(entry.timelines, timelines)})


def _views(retrievals: list[Retrieval], thumbnails: Thumbnails) -> list[RetrievalView]:
    count = _share(QUERIES, len(retrievals))
    return [
        RetrievalView(
            entry, [_show(entry.dataset, q, thumbnails) for q in spread(entry.examples, count)]
        )
        for entry in retrievals
    ]


def _show(dataset: str, query: Query, thumbnails: Thumbnails) -> Shown:
    pictures = [thumbnails.at(dataset, moment.video_id, moment.middle) for moment in query.top]
    found = any(moment.correct for moment in query.top)
    truth = None if found else thumbnails.at(dataset, query.video_id, query.middle)
    return Shown(query, pictures, truth)


def _run(experiment: str, directory: Path) -> Run:
    found = panels(read_metrics(directory / "metrics.jsonl"))
    return Run(experiment, found, alarms(found))


def _given_records(inputs: ReportInputs, evaluations: list[Evaluation]) -> Iterator[Record]:
    if inputs.provenance:
        yield Record("Run", flatten(inputs.provenance))
    for entry in evaluations:
        if entry.provenance:
            kind = type(entry).__name__.lower()
            yield Record(
                f"Evaluation: {kind}, {entry.experiment} on {entry.dataset}",
                flatten(entry.provenance),
            )
