"""Published tables with this project's own rows set beside them.

Conventions
-----------
- Columns are the published ones. Under a published method stand the rows measured with the experiments that it names;
  measured rows of other experiments come last. A published row that nobody measured says so.
- Measured scores show their denominators: n ranked or decoded of total.
- What is synthetic never stands in a table. It is listed apart, marked, with what was measured on other data sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mcn.report.measured import Files, MeasuredRow, Score, measured_rows
from mcn.report.published import TABLES, TITLES, Cell, Row, Table, published

NOT_MEASURED = "not measured"
PUBLISHED, MEASURED = "published", "measured"


@dataclass(frozen=True)
class ShownCell:
    """Scores of one row on one benchmark, percent; `denominators`: n / total of each, empty where published."""

    scores: list[float | None]
    denominators: list[tuple[int, int]]
    source: str
    verified: str
    note: str

    @property
    def counts(self) -> str:
        """`n / total`, several where the metrics' differ; empty where published."""
        shown = [f"{n:,} / {total:,}" for n, total in self.denominators if total]
        return "; ".join(dict.fromkeys(shown))


@dataclass(frozen=True)
class ShownRow:
    """One line of a table; `here` says of a published row which experiment measured it."""

    kind: str
    method: str
    modalities: str
    backbone: str
    trainable: str
    pretraining: str
    later: bool
    here: str
    cells: Mapping[str, ShownCell]


@dataclass(frozen=True)
class Elsewhere:
    """Scores that stand in no published table: of another data set, or synthetic."""

    experiment: str
    dataset: str
    modalities: str
    synthetic: bool
    cell: ShownCell


@dataclass(frozen=True)
class ShownTable:
    """A published table with measured rows."""

    name: str
    table: Table
    rows: list[ShownRow]
    elsewhere: list[Elsewhere] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """The tables of `table1`, `table2` or `reference`; `notes`: what could not be measured and why."""

    title: str
    tables: list[ShownTable]
    sources: Mapping[str, str]
    notes: list[str]


def build_page(
    name: str,
    files: Sequence[Files],
    benchmarks: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
) -> Page:
    """A page of `TABLES`; benchmarks: data set -> benchmark (default: a data set named as one is one).

    labels: feature -> its name in the column of backbones (default: the network that made it).
    """
    found = published()
    tables = [
        _build(one, found.tables[one], measured_rows(one, files, labels), benchmarks)
        for one in TABLES[name]
    ]
    used = {
        s
        for shown in tables
        for row in shown.table.rows
        for c in row.cells.values()
        for s in c.source
    }
    sources = {key: text for key, text in found.sources.items() if key in used}
    return Page(TITLES[name], tables, sources, list(notes))


def _build(
    name: str, table: Table, rows: Sequence[MeasuredRow], benchmarks: Mapping[str, str] | None
) -> ShownTable:
    placed: dict[str, list[ShownRow]] = {}
    elsewhere: list[Elsewhere] = []
    for row in rows:
        inside: dict[str, list[Score]] = {}
        for dataset, scores in row.cells.items():
            benchmark = benchmarks.get(dataset, "") if benchmarks is not None else dataset
            synthetic = dataset in row.synthetic
            if synthetic or benchmark not in table.benchmarks or benchmark in inside:
                columns = row.experiment, dataset, row.modalities, synthetic
                elsewhere.append(Elsewhere(*columns, _measured_cell(scores)))
            else:
                inside[benchmark] = scores
        if inside:
            placed.setdefault(row.experiment, []).append(_measured_row(row, inside))
    shown: list[ShownRow] = []
    for published_row in table.rows:
        own = [one for name in published_row.experiments for one in placed.pop(name, [])]
        shown += [_published_row(published_row, own), *own]
    shown += [row for left in placed.values() for row in left]
    return ShownTable(name, table, shown, elsewhere)


def _published_row(row: Row, own: Sequence[ShownRow]) -> ShownRow:
    trainable = "" if row.trainable is None else "yes" if row.trainable else "no"
    names = ", ".join(dict.fromkeys(one.method for one in own))
    here = f"experiment {names}" if own else NOT_MEASURED
    cells = {name: _published_cell(cell) for name, cell in row.cells.items()}
    columns = row.method, row.modalities, row.backbone, trainable, row.pretraining, row.later
    return ShownRow(PUBLISHED, *columns, here, cells)


def _published_cell(cell: Cell) -> ShownCell:
    return ShownCell(cell.scores, [], ", ".join(cell.source), cell.verified, cell.note)


def _measured_row(row: MeasuredRow, inside: Mapping[str, list[Score]]) -> ShownRow:
    cells = {name: _measured_cell(scores) for name, scores in inside.items()}
    columns = row.experiment, row.modalities, row.backbone, "no", "", False
    return ShownRow(MEASURED, *columns, "", cells)


def _measured_cell(scores: Sequence[Score]) -> ShownCell:
    denominators = [(one.n, one.total) for one in scores]
    return ShownCell([one.value for one in scores], denominators, "this project", "", "")


def score_words(cell: ShownCell | None, metrics: int) -> list[str]:
    """A cell in words, one a metric: measured to one decimal, published as printed, `?` where that is not verified."""
    if cell is None or not cell.scores:
        return ["–"] * metrics
    if cell.denominators:
        return ["–" if one is None else f"{one:.1f}" for one in cell.scores]
    doubt = "" if cell.verified == "yes" else "?"
    return ["–" if one is None else f"{one}{doubt}" for one in cell.scores]
