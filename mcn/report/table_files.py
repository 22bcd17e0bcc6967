"""Published tables as files: HTML for reading, Markdown for pasting, CSV for computing.

Conventions
-----------
- `write_page(page, results/table1.html)` also writes table1.md and table1.csv beside it, all atomically.
- CSV: one line a row, benchmark and metric: table, kind, method, modalities, backbone, trainable, pretraining, later,
  benchmark, metric, score (percent, empty where there is none), n, total, source, verified, synthetic, note.
- Markdown: measured scores with one decimal, published ones as printed, `?` behind those not verified.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from mcn.files import CsvWriter, write_text
from mcn.report.render import environment
from mcn.report.tables import (
    MEASURED,
    Elsewhere,
    Page,
    ShownCell,
    ShownRow,
    ShownTable,
    score_words,
)

log = logging.getLogger(__name__)

HEADER = (
    *("table", "kind", "method", "modalities", "backbone", "trainable", "pretraining", "later"),
    *("benchmark", "metric", "score", "n", "total", "source", "verified", "synthetic", "note"),
)


def write_page(page: Page, output: Path) -> None:
    """Write `output` (.html) and, beside it, .md and .csv."""
    html = environment().get_template("table.html").render(page=page)
    for suffix, text in ((".html", html), (".md", markdown(page)), (".csv", as_csv(page))):
        write_text(output.with_suffix(suffix), text)
    log.info("%s, .md, .csv", output)


def markdown(page: Page) -> str:
    """The page as Markdown."""
    parts = [f"# {page.title}"]
    for shown in page.tables:
        parts.append("\n".join(_markdown_table(shown)))
        parts += ["\n".join(_markdown_elsewhere(shown))] if shown.elsewhere else []
    if page.notes:
        parts.append("\n".join(["Missing:", "", *(f"- {note}" for note in page.notes)]))
    parts.append("\n".join(f"- {key}: {text}" for key, text in page.sources.items()))
    return "\n\n".join(parts) + "\n"


def _markdown_table(shown: ShownTable) -> Iterator[str]:
    benchmarks = shown.table.benchmarks
    yield f"## {shown.table.title}\n\n{shown.table.note}\n"
    metrics = [f"{b.title} {m}" for b in benchmarks.values() for m in b.metrics]
    heads = ["Method", "Mod.", "Backbone", "Trainable", *metrics, "n / total", "Source", "Here"]
    yield _line(heads)
    yield _line(["---"] * len(heads))
    for row in shown.rows:
        found = [
            text
            for name, benchmark in benchmarks.items()
            for text in score_words(row.cells.get(name), len(benchmark.metrics))
        ]
        method = f"**{row.method}, measured**" if row.kind == MEASURED else row.method
        method += f", {row.pretraining}" if row.pretraining else ""
        counts = "; ".join(
            f"{benchmarks[n].title} {c.counts}" for n, c in row.cells.items() if c.counts
        )
        sources = "; ".join(dict.fromkeys(cell.source for cell in row.cells.values()))
        columns = [method, row.modalities, row.backbone, row.trainable]
        yield _line([*columns, *found, counts, sources, row.here])
    for row in shown.rows:
        for name, cell in row.cells.items():
            if cell.note:
                yield f"\n{row.method}, {benchmarks[name].title}: {cell.note}."


def _markdown_elsewhere(shown: ShownTable) -> Iterator[str]:
    metrics = next(iter(shown.table.benchmarks.values())).metrics
    yield "Measured elsewhere, not comparable with the rows above:\n"
    heads = ["Experiment", "Data set", "Mod.", *metrics, "n / total", ""]
    yield _line(heads)
    yield _line(["---"] * len(heads))
    for one in shown.elsewhere:
        mark = "synthetic" if one.synthetic else ""
        columns = [one.experiment, one.dataset, one.modalities]
        yield _line([*columns, *score_words(one.cell, len(metrics)), one.cell.counts, mark])


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_csv(page: Page) -> str:
    """The page as CSV."""
    text = io.StringIO()
    writer = CsvWriter(text)
    writer.writerow(HEADER)
    for shown in page.tables:
        for row in shown.rows:
            writer.writerows(_csv_rows(shown, row))
        for one in shown.elsewhere:
            writer.writerows(_csv_elsewhere(shown, one))
    return text.getvalue()


def _csv_rows(shown: ShownTable, row: ShownRow) -> Iterator[list[object]]:
    columns = [row.method, row.modalities, row.backbone, row.trainable, row.pretraining, row.later]
    for name, cell in row.cells.items():
        metrics = shown.table.benchmarks[name].metrics
        for entry in _csv_scores(metrics, cell):
            yield [shown.name, row.kind, *columns, name, *entry, cell.verified, False, cell.note]


def _csv_elsewhere(shown: ShownTable, one: Elsewhere) -> Iterator[list[object]]:
    metrics = next(iter(shown.table.benchmarks.values())).metrics
    columns = [one.experiment, one.modalities, "", "no", "", False, one.dataset]
    for entry in _csv_scores(metrics, one.cell):
        yield [shown.name, "elsewhere", *columns, *entry, "", one.synthetic, ""]


def _csv_scores(metrics: list[str], cell: ShownCell) -> Iterator[list[object]]:
    """Metric, score, n, total, source of every metric."""
    values = cell.scores or [None] * len(metrics)
    counts: Sequence[tuple[object, object]] = cell.denominators or [("", "")] * len(metrics)
    for metric, value, count in zip(metrics, values, counts, strict=True):
        yield [metric, "" if value is None else value, *count, cell.source]
