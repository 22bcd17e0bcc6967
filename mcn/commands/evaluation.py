"""Verbs that score a trained model on annotated data sets: `evaluate TASK`, one for each evaluation."""

from __future__ import annotations

import functools
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcn.commands.verbs import Verbs, add_group, add_path, add_verb
from mcn.options.evaluation import EvaluationOptions
from mcn.options.tasks import TASKS


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    summary = "Zero-shot scores of a model on an annotated data set."
    kinds = add_group(verbs, "evaluate", summary, "TASK")
    for task, row in TASKS.items():
        run = functools.partial(evaluate, task)
        run.__doc__ = row.summary
        verb = add_verb(kinds, task, run, "mcn.options.sections:DatasetOptions", runtime=True)
        _add_places(verb)
        if task == "alignment":
            words = "folder for log-probabilities as text, VIDEO.probs, a row"
            reader = "as MCN's eval_cross.py writes them"
            verb.add_argument("--probabilities", type=Path, help=f"{words} a second, {reader}")
            reader = "as Mining YouTube's own aligner reads them"
            verb.add_argument("--frame-probabilities", type=Path, help=f"{words} a frame, {reader}")
    own = "mcn.options.evaluation:OwnEvaluation"
    verb = add_verb(kinds, "own", evaluate_own, own, runtime=True)
    _add_places(verb)
    verb.add_argument("--shards", type=int, required=True, help="shards of the data set")
    verb.add_argument("--synthetic", action="store_true", help="the data set is rendered")

    verb = add_verb(verbs, "scoreboard", scoreboard)
    add_path(verb, "model", "folder of the model")
    words = "name of a task of mteb; may be given several times"
    verb.add_argument("--task", action="append", default=[], help=words)
    words = "name of a benchmark of mteb, as 'MVEB(text, video)'; may be given several times"
    verb.add_argument("--benchmark", action="append", default=[], help=words)
    add_path(verb, "--output", "folder of mteb's results")

    verb = add_verb(verbs, "align", align, "mcn.options.evaluation:AlignmentOptions")
    add_path(verb, "probabilities", "folder of VIDEO.probs, log-probabilities")
    add_path(verb, "--classes", "weakYouTube_dict.txt")
    words = "folder of VIDEO.grammar or VIDEO.txt, the labels in order"
    add_path(verb, "--transcripts", words)
    verb.add_argument("--truth", type=Path, help="folder of VIDEO.gt or VIDEO.txt, a label a frame")
    words = "weakYouTube_length.txt, mean lengths [frames] (default: mean_length)"
    verb.add_argument("--lengths", type=Path, help=words)
    words = "what a row is (frames: the official aligner; seconds: MCN eval_cross.py)"
    verb.add_argument("--rows", choices=("frames", "seconds"), default="frames", help=words)
    add_path(verb, "--output", "folder for VIDEO.res and scores")


def _add_places(verb: ArgumentParser) -> None:
    add_path(verb, "model", "folder of the model")
    add_path(verb, "dataset", "results/{dataset}")
    add_path(verb, "--output", ".json")


def evaluate(task: str, arguments: Namespace) -> None:
    """Score a model by an evaluation of this package."""
    from mcn.options.base import parse_options
    from mcn.options.sections import DatasetOptions

    dataset: DatasetOptions = parse_options(DatasetOptions, arguments.options)
    row = TASKS[task]
    tables = dataset.tables_of(row) or row.tables[-1]
    folders = {"seconds": "probabilities", "frames": "frame_probabilities"}
    named = {rows: getattr(arguments, name, None) for rows, name in folders.items()}
    exports = {rows: folder for rows, folder in named.items() if folder}
    about = {"synthetic": dataset.synthetic, "exports": exports}
    _run(arguments, task, dataset.shards, tables, getattr(dataset, task), about)


def evaluate_own(arguments: Namespace) -> None:
    """Score a model by a function of your own, named by import path (docs/extending.md)."""
    from mcn.options.base import parse_options
    from mcn.options.evaluation import OwnEvaluation

    own: OwnEvaluation = parse_options(OwnEvaluation, arguments.options)
    about = {"synthetic": arguments.synthetic}
    _run(arguments, own.evaluate, arguments.shards, own.tables, own, about)


def scoreboard(arguments: Namespace) -> None:
    """Run tasks of mteb, the field's scoreboard, on a model of any kind; fetches their data from the hub."""
    from mcn.errors import UserError
    from mcn.search.scoreboard import run_tasks

    if not arguments.task and not arguments.benchmark:
        raise UserError("neither --task nor --benchmark", "what to run", "name one")
    names = arguments.task, arguments.benchmark
    for task, score in run_tasks(arguments.model, *names, arguments.output).items():
        print(f"{task}\t{score:.4f}")


def align(arguments: Namespace) -> None:
    """Align log-probabilities of others with transcripts, as Mining YouTube's own aligner does."""
    from mcn.evaluation.alignment.files import AlignmentFiles, align_files
    from mcn.options.base import parse_options
    from mcn.options.evaluation import AlignmentOptions

    options: AlignmentOptions = parse_options(AlignmentOptions, arguments.options)
    if "programme" not in options.model_fields_set:
        options = options.model_copy(update={"programme": "poisson"})
    files = AlignmentFiles(
        arguments.probabilities,
        arguments.classes,
        arguments.transcripts,
        arguments.truth,
        arguments.lengths,
    )
    align_files(files, arguments.output, options, arguments.rows)


def _run(
    arguments: Namespace,
    name: str,
    shards: int,
    tables: Sequence[str],
    options: EvaluationOptions,
    about: dict[str, Any],
) -> None:
    from mcn.evaluation.embed import EvaluatedModel
    from mcn.evaluation.stage import run_evaluation
    from mcn.layout import Dataset
    from mcn.options.base import parse_options
    from mcn.options.features import RuntimeOptions

    runtime: RuntimeOptions = parse_options(RuntimeOptions, arguments.runtime)
    files = Dataset(arguments.dataset, shards)
    given = EvaluatedModel.load(arguments.model, files, tables, options, runtime.device, **about)
    run_evaluation(name, given, arguments.output)
