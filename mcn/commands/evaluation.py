"""Verbs that score a trained model on annotated data sets: evaluate retrieval, localization, alignment, recognition."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcn.commands.verbs import Verbs, add_group, add_verb

if TYPE_CHECKING:
    from mcn.layout import Dataset
    from mcn.options.evaluation import EvaluationOptions
    from mcn.options.sections import DatasetOptions


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
        verb = add_verb(kinds, name, run, "mcn.options.sections:DatasetOptions", runtime=True)
        verb.add_argument("model", type=Path, help="folder of the model")
        verb.add_argument("dataset", type=Path, help="results/{dataset}")
        verb.add_argument("--output", type=Path, required=True, help=".json")
        if run is evaluate_alignment:
            words = "folder for log-probabilities as text, VIDEO.probs, a row a second"
            verb.add_argument("--probabilities", type=Path, help=words)


def evaluate_retrieval(arguments: Namespace) -> None:
    """Rank the clips of a captioned data set, between every pair of modalities."""
    from mcn.evaluation.retrieval.stage import evaluate_retrieval

    dataset, options = _parse(arguments)
    _score(arguments, options, evaluate_retrieval, options.retrieval, [dataset.table("captions")])


def evaluate_localization(arguments: Namespace) -> None:
    """Place the ordered steps of each annotated video in time."""
    from mcn.evaluation.localization.stage import evaluate_localization

    dataset, options = _parse(arguments)
    tables = [dataset.table("tasks"), dataset.table("steps")]
    _score(arguments, options, evaluate_localization, options.localization, tables)


def evaluate_alignment(arguments: Namespace) -> None:
    """Align each video with its ordered transcript, its own or that of its annotated steps."""
    from mcn.evaluation.alignment.stage import evaluate_alignment
    from mcn.evaluation.alignment.transcripts import read_transcripts, step_transcripts

    dataset, options = _parse(arguments)
    if options.segments:
        tables = [dataset.table(name) for name in ("classes", "transcripts", "segments")]
        annotations = read_transcripts(*tables)
    else:
        steps = dataset.table("tasks"), dataset.table("steps")
        annotations = step_transcripts(*steps, options.alignment.background_items)
    found, more = [annotations], [arguments.probabilities]
    _score(arguments, options, evaluate_alignment, options.alignment, found, more)


def evaluate_recognition(arguments: Namespace) -> None:
    """Rank the class names for each labelled video, by its pictures."""
    from mcn.evaluation.recognition.stage import evaluate_recognition

    dataset, options = _parse(arguments)
    tables = [dataset.table("actions"), dataset.table("labels")]
    _score(arguments, options, evaluate_recognition, options.recognition, tables)


def _parse(arguments: Namespace) -> tuple[Dataset, DatasetOptions]:
    """The data set of an evaluation and its options."""
    from mcn.layout import Dataset
    from mcn.options.base import parse_options
    from mcn.options.sections import DatasetOptions

    options: DatasetOptions = parse_options(DatasetOptions, arguments.options)
    return Dataset(arguments.dataset, options.shards), options


def _score(
    arguments: Namespace,
    options: DatasetOptions,
    stage: Callable[..., Any],
    section: EvaluationOptions,
    annotations: Sequence[Any],
    more: Sequence[Any] = (),
) -> None:
    """Call a stage with what all of them take; `annotations` come before the vocabulary, `more` at the end."""
    from mcn.layout import Dataset
    from mcn.options.base import parse_options
    from mcn.options.features import RuntimeOptions

    runtime: RuntimeOptions = parse_options(RuntimeOptions, arguments.runtime)
    dataset = Dataset(arguments.dataset, options.shards)
    stage(
        arguments.model,
        dataset.all_features(),
        *annotations,
        dataset.table("vocabulary"),
        arguments.output,
        arguments.model.name,
        dataset.name,
        section,
        options.synthetic,
        runtime.device,
        *more,
    )
