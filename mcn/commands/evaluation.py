"""Verbs that score a trained model on annotated data sets: evaluate retrieval, localization, alignment, recognition."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mcn.commands.verbs import Verbs, add_group, add_verb

if TYPE_CHECKING:
    from mcn.layout import Dataset
    from mcn.sections import DatasetOptions


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    summary = "Zero-shot scores of a model on an annotated data set."
    kinds = add_group(verbs, "evaluate", summary, "TASK")
    for name, run in (
        ("retrieval", evaluate_retrieval),
        ("localization", evaluate_localization),
        ("alignment", evaluate_alignment),
        ("recognition", evaluate_recognition),
    ):
        verb = add_verb(kinds, name, run, "mcn.sections:DatasetOptions", runtime=True)
        verb.add_argument("model", type=Path, help="folder of the model")
        verb.add_argument("dataset", type=Path, help="results/{dataset}")
        verb.add_argument("--output", type=Path, required=True, help=".json")
        if run is evaluate_alignment:
            words = "folder for log-probabilities as text, VIDEO.probs, a row a second"
            verb.add_argument("--probabilities", type=Path, help=words)


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


def evaluate_alignment(arguments: Namespace) -> None:
    """Align each video with its ordered transcript, its own or that of its annotated steps."""
    from mcn.evaluation.stage_alignment import evaluate_alignment
    from mcn.evaluation.transcripts import read_transcripts, step_transcripts

    dataset, options, device = _parse(arguments)
    if options.segments:
        tables = [dataset.table(name) for name in ("classes", "transcripts", "segments")]
        annotations = read_transcripts(*tables)
    else:
        steps = dataset.table("tasks"), dataset.table("steps")
        annotations = step_transcripts(*steps, options.alignment.background_items)
    evaluate_alignment(
        arguments.model,
        dataset.all_features(),
        annotations,
        dataset.table("vocabulary"),
        arguments.output,
        arguments.model.name,
        dataset.name,
        options.alignment,
        options.synthetic,
        device,
        arguments.probabilities,
    )


def evaluate_recognition(arguments: Namespace) -> None:
    """Rank the class names for each labelled video, by its pictures."""
    from mcn.evaluation.stage_recognition import evaluate_recognition

    dataset, options, device = _parse(arguments)
    evaluate_recognition(
        arguments.model,
        dataset.all_features(),
        dataset.table("actions"),
        dataset.table("labels"),
        dataset.table("vocabulary"),
        arguments.output,
        arguments.model.name,
        dataset.name,
        options.recognition,
        options.synthetic,
        device,
    )


def _parse(arguments: Namespace) -> tuple[Dataset, DatasetOptions, str]:
    """The data set, its options and the device of an evaluation."""
    from mcn.features.options import RuntimeOptions
    from mcn.layout import Dataset
    from mcn.options import parse_options
    from mcn.sections import DatasetOptions

    options: DatasetOptions = parse_options(DatasetOptions, arguments.options)
    runtime: RuntimeOptions = parse_options(RuntimeOptions, arguments.runtime)
    return Dataset(arguments.dataset, options.shards), options, runtime.device
