"""Verbs that set scores beside others: table, beside published ones; sweep, those of every epoch."""

from __future__ import annotations

from argparse import Namespace

from mcn.commands.verbs import Verbs, add_path, add_verb


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = add_verb(verbs, "table", table, "mcn.config.configuration:Configuration")
    verb.set_defaults(options=None)
    verb.add_argument(
        "name",
        choices=("table1", "table2", "reference"),
        help="table1: retrieval; table2: localization; reference: rows of the lecture",
    )
    add_path(verb, "results", "folder of a run, or an empty one")
    add_path(verb, "--output", ".html; .md and .csv are written beside it")
    verb.add_argument(
        "--missing", action="append", default=[], help="a line on what is missing (repeatable)"
    )

    verb = add_verb(verbs, "sweep", sweep)
    add_path(verb, "results", "folder of a run")
    add_path(verb, "--output", "page (.html); the table .csv is written beside")


def table(arguments: Namespace) -> None:
    """Write published rows with the measured ones beside them, as HTML, Markdown and CSV."""
    from mcn.config.configuration import Configuration
    from mcn.options.base import parse_options
    from mcn.report.measured import read_results
    from mcn.report.table_files import write_page
    from mcn.report.tables import build_page

    benchmarks = experiments = labels = None
    if arguments.options:
        settings: Configuration = parse_options(Configuration, arguments.options)
        experiments = list(settings.experiments)
        benchmarks = settings.benchmarks()
        labels = settings.labels()
    files = read_results(arguments.results, experiments)
    if benchmarks is not None:
        files = [one for one in files if one.dataset in benchmarks]
    page = build_page(arguments.name, files, benchmarks, arguments.missing, labels)
    write_page(page, arguments.output)


def sweep(arguments: Namespace) -> None:
    """Draw the scores of the model after every kept epoch."""
    from mcn.report.sweep import write_sweep

    write_sweep(arguments.results, arguments.output)
