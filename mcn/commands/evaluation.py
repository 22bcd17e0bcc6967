"""Verbs that score a trained model on annotated data sets: evaluate retrieval, evaluate localization."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mcn.commands.verbs import Verbs, add_group, add_verb

if TYPE_CHECKING:
    from mcn.config import DatasetOptions
    from mcn.layout import Dataset


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    summary = "Zero-shot scores of a model on an annotated data set."
    kinds = add_group(verbs, "evaluate", summary, "TASK")
    for name, run in (
        ("retrieval", evaluate_retrieval),
        ("localization", evaluate_localization),
    ):
        verb = add_verb(kinds, name, run, "mcn.config:DatasetOptions", runtime=True)
        verb.add_argument("model", type=Path, help="folder of the model")
        verb.add_argument("dataset", type=Path, help="results/{dataset}")
        verb.add_argument("--output", type=Path, required=True, help=".json")


def evaluate_retrieval(arguments: Namespace) -> None:
    """Rank the clips of a captioned data set, between every pair of modalities."""
    from mcn.evaluation.stage_retrieval import evaluate_retrieval

    dataset, options, device = _parse(arguments)
    evaluate_retrieval(
        arguments.model,
        dataset.all_features(),
        dataset.table("captions"),
        dataset.table("vocabulary"),
        arguments.output,
        arguments.model.name,
        dataset.name,
        options.retrieval,
        options.synthetic,
        device,
    )


def evaluate_localization(arguments: Namespace) -> None:
    """Place the ordered steps of each annotated video in time."""
    from mcn.evaluation.stage_localization import evaluate_localization

    dataset, options, device = _parse(arguments)
    evaluate_localization(
        arguments.model,
        dataset.all_features(),
        dataset.table("tasks"),
        dataset.table("steps"),
        dataset.table("vocabulary"),
        arguments.output,
        arguments.model.name,
        dataset.name,
        options.localization,
        options.synthetic,
        device,
    )


def _parse(arguments: Namespace) -> tuple[Dataset, DatasetOptions, str]:
    """The data set, its options and the device of an evaluation."""
    from mcn.config import DatasetOptions
    from mcn.features.options import RuntimeOptions
    from mcn.layout import Dataset
    from mcn.options import parse_options

    options: DatasetOptions = parse_options(DatasetOptions, arguments.options)
    runtime: RuntimeOptions = parse_options(RuntimeOptions, arguments.runtime)
    return Dataset(arguments.dataset, options.shards), options, runtime.device
