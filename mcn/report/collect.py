"""Everything that the report shows, read from a run's files into plain values. No HTML here.

Features are summed while they are read and at most some videos a shard are sampled (see `mcn.report.health`); of the
evaluation files a bounded number of queries and timelines is shown, so that the page stays small for any run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcn.errors import several
from mcn.report.accounts import Account, read_account
from mcn.report.curves import Panel, alarms, panels, read_metrics
from mcn.report.evaluations import (
    Localization,
    Measure,
    Query,
    Retrieval,
    evenly,
    localization_measures,
    read_evaluation,
    retrieval_rows,
    spread,
)
from mcn.report.health import FeatureHealth, TextHealth, feature_health
from mcn.report.provenance import Record, flatten, model_records, recipe_records, words
from mcn.report.thumbnails import Picture, Thumbnails

QUERIES, TIMELINES = 16, 10  # shown of one evaluation, at most
SHOWN_IN_ALL = 48  # queries, and timelines, of the whole page
LEADING_PAIRS = ("t->va", "t->v")  # the pair that the head of the page quotes


@dataclass(frozen=True)
class ReportInputs:
    """What the report is made from; every mapping may be empty.

    title: heading. synthetic: a note where the videos are rendered, '' otherwise. ledgers, videos: data set ->
    ledger.parquet, videos.parquet. evaluations: retrieval and localization files. models: experiment -> directory
    with model.safetensors, config.yaml, metrics.jsonl. features: data set -> feature -> shards. provenance: plain
    values (nested mappings are fine); scalars at its top are quoted in the head of the page.
    """

    title: str
    synthetic: str = ""
    ledgers: Mapping[str, Path] = field(default_factory=dict)
    videos: Mapping[str, Path] = field(default_factory=dict)
    evaluations: list[Path] = field(default_factory=list)
    models: Mapping[str, Path] = field(default_factory=dict)
    features: Mapping[str, Mapping[str, list[Path]]] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fact:
    """A headline number."""

    label: str
    value: str
    note: str


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
    runs: list[Run]
    health: list[FeatureHealth]
    text_health: list[TextHealth]
    accounts: list[Account]
    records: list[Record]


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
    timelines = _share(TIMELINES, len(localizations))
    return Report(
        inputs.title,
        inputs.synthetic,
        [
            (key, words(v))
            for key, v in inputs.provenance.items()
            if not isinstance(v, Mapping | list)
        ],
        _facts(retrievals, localizations, accounts),
        _views(retrievals, Thumbnails(inputs.videos)),
        [
            entry.model_copy(update={"timelines": evenly(entry.timelines, timelines)})
            for entry in localizations
        ],
        [_run(name, directory) for name, directory in inputs.models.items()],
        [entry for entry in health if isinstance(entry, FeatureHealth)],
        [entry for entry in health if isinstance(entry, TextHealth)],
        accounts,
        [
            *model_records(inputs.models),
            *recipe_records(inputs.features),
            *_given_records(inputs, evaluations),
        ],
    )


def _check_files(inputs: ReportInputs) -> None:
    """`UserError` naming every input file that does not exist."""
    wanted = [*inputs.ledgers.values(), *inputs.videos.values(), *inputs.evaluations]
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


def _facts(
    retrievals: list[Retrieval], localizations: list[Localization], accounts: list[Account]
) -> list[Fact]:
    """The first evaluation of each kind and the accounts, in one number each."""
    facts = []
    for evaluation in retrievals[:1]:
        rows = {row.pair: row for row in retrieval_rows(evaluation)}
        row = next((rows[pair] for pair in (*LEADING_PAIRS, *rows) if pair in rows), None)
        recalls = {measure.name: measure for measure in row.measures} if row else {}
        if row and "R@10" in recalls:
            where = (
                f"{evaluation.experiment} on {evaluation.dataset}, {row.n} of {row.total} queries"
            )
            facts.append(_fact(f"R@10, {row.words}", recalls["R@10"], where))
    for entry in localizations[:1]:
        measures = {measure.name: measure for measure in localization_measures(entry)}
        if "recall" in measures:
            where = f"{entry.experiment} on {entry.dataset}, {entry.n} of {entry.total} videos"
            facts.append(_fact("step recall", measures["recall"], where))
    if accounts:
        whole, videos = (sum(getattr(a, name) for a in accounts) for name in ("whole", "videos"))
        names = ", ".join(account.dataset for account in accounts)
        facts.append(Fact("videos ok in every stream", f"{whole} of {videos}", names))
    return facts


def _fact(label: str, measure: Measure, where: str) -> Fact:
    value = "–" if measure.value is None else f"{measure.value:.1f} %"
    chance = "chance unknown" if measure.chance is None else f"chance {measure.chance:.1f} %"
    times = "" if measure.times_chance is None else f" ({measure.times_chance:.1f} × chance)"
    return Fact(label, value, f"{chance}{times}; {where}")


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


def _given_records(
    inputs: ReportInputs, evaluations: list[Retrieval | Localization]
) -> Iterator[Record]:
    if inputs.provenance:
        yield Record("Run", flatten(inputs.provenance))
    for entry in evaluations:
        if entry.provenance:
            kind = type(entry).__name__.lower()
            yield Record(
                f"Evaluation: {kind}, {entry.experiment} on {entry.dataset}",
                flatten(entry.provenance),
            )
