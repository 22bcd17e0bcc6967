"""The verbs that set experiments beside each other: compare experiments, compare encoders."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mcn.commands.verbs import Verbs, add_verb


def register_comparison(comparisons: Verbs) -> None:
    """Add the parsers below `compare`."""
    verb = add_verb(
        comparisons,
        "experiments",
        compare_experiments,
        "mcn.config.configuration:Configuration",
        runtime=True,
    )
    verb.add_argument("results", type=Path, help="folder of a run")
    verb.add_argument(
        "--comparison",
        default="{}",
        metavar="JSON",
        help="baseline (mcn), draws (2000), level (0.95), kmeans_runs (5), seed (0)",
    )
    verb.add_argument(
        "--output", type=Path, required=True, help="page (.html); the table .csv is written beside"
    )

    verb = add_verb(
        comparisons, "encoders", compare_encoders, "mcn.config.configuration:Configuration"
    )
    verb.add_argument("results", type=Path, help="folder of a finished run")
    verb.add_argument(
        "--output", type=Path, required=True, help="page (.html); the table .csv is written beside"
    )


def compare_encoders(arguments: Namespace) -> None:
    """What the features of each experiment cost, beside its scores: a page and a table."""
    from mcn.config.configuration import Configuration
    from mcn.options.base import parse_options
    from mcn.report.encoders import write_encoders

    settings = parse_options(Configuration, arguments.options)
    write_encoders(settings, arguments.results, arguments.output)


def compare_experiments(arguments: Namespace) -> None:
    """Every objective of a configuration: mean and spread over seeds, differences, curves, clusters, pictures."""
    import torch

    from mcn.comparison.stage import compare
    from mcn.config.configuration import Configuration
    from mcn.features.runtime import resolve
    from mcn.options.base import parse_options
    from mcn.options.comparison import ComparisonOptions
    from mcn.options.features import RuntimeOptions

    runtime = resolve(parse_options(RuntimeOptions, arguments.runtime), arguments.threads)
    torch.set_num_threads(runtime.threads)
    settings = parse_options(Configuration, arguments.options)
    options = parse_options(ComparisonOptions, arguments.comparison)
    compare(settings, arguments.results, arguments.output, options)
