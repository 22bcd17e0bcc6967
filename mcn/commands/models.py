"""Verbs from feature shards to a model, and to answers from it: train, search."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mcn.commands.verbs import Verbs, add_verb

if TYPE_CHECKING:
    from mcn.options.sections import Experiment
    from mcn.training.loop import EarlyScores


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = add_verb(verbs, "train", train, "mcn.options.sections:Experiment", runtime=True)
    verb.add_argument("results", type=Path, help="folder that holds the data sets")
    verb.add_argument("--output", type=Path, required=True, help="folder of the model")
    verb.add_argument("--checkpoints", type=Path, required=True, help="folder to resume from")
    verb.add_argument("--shards", type=int, required=True, help="shards of the training set")
    verb.add_argument(
        "--early-shards", type=int, default=0, help="shards of the early evaluation set"
    )
    verb.add_argument("--processes", type=int, default=1, help="processes a node, one a GPU (1)")
    verb.add_argument("--nodes", type=int, default=1, help="nodes of the Slurm job (1)")

    verb = add_verb(verbs, "search", search, "mcn.options.evaluation:RetrievalOptions")
    verb.add_argument("model", type=Path, help="folder of the model")
    verb.add_argument("dataset", type=Path, help="results/{dataset}")
    verb.add_argument("query", help="what to look for, in words")
    verb.add_argument("--vectors", required=True, help="word vectors that the model was trained on")
    verb.add_argument(
        "--case",
        choices=("as_is", "lower"),
        default="as_is",
        help="lower: for lower-case vectors (as_is)",
    )
    verb.add_argument("--window", type=float, default=4.0, help="length of a moment, seconds (4)")
    verb.add_argument("--limit", type=int, default=10, help="how many moments to list (10)")


def train(arguments: Namespace) -> None:
    """Train one experiment; an interrupted run goes on where it stopped."""
    from mcn.distributed import joined, local_device, local_threads, spread

    spread(arguments.nodes, arguments.processes)
    from mcn.features.runtime import resolve
    from mcn.layout import Dataset
    from mcn.options.base import parse_options
    from mcn.options.features import RuntimeOptions
    from mcn.options.sections import Experiment
    from mcn.training.train import TrainingJob, train

    experiment: Experiment = parse_options(Experiment, arguments.options)
    runtime = parse_options(RuntimeOptions, arguments.runtime)
    dataset = Dataset(arguments.results / experiment.dataset, arguments.shards)
    device = local_device(runtime.device)
    where = runtime.model_copy(update={"device": device})
    with joined(device) as processes:
        job = TrainingJob(
            experiment,
            dataset.model_shards(*experiment.training_features),
            arguments.output,
            arguments.checkpoints,
            resolve(where, local_threads(arguments.threads)),
            _early_scores(arguments, experiment),
            processes,
        )
        train(job)


def _early_scores(arguments: Namespace, experiment: Experiment) -> EarlyScores | None:
    """What scores the network while training goes on; None where the experiment names no set for it."""
    from mcn.evaluation.embed import EvaluatedModel
    from mcn.evaluation.retrieval.stage import early_scores
    from mcn.layout import Dataset

    early = experiment.early_evaluation
    if early is None:
        return None
    dataset = Dataset(arguments.results / early.dataset, arguments.early_shards)
    shards = dataset.model_shards(*experiment.features)
    tables = {"captions": dataset.table("captions")}
    return lambda network: early_scores(EvaluatedModel.of(network, shards, tables, early.retrieval))


def search(arguments: Namespace) -> None:
    """Find the moments of a data set's videos that fit a text."""
    from mcn.layout import Dataset
    from mcn.options.base import parse_options
    from mcn.options.encoders import TextOptions
    from mcn.options.evaluation import RetrievalOptions
    from mcn.search.query import format_answers, search

    text = TextOptions(vectors=arguments.vectors, case=arguments.case)
    options = parse_options(RetrievalOptions, arguments.options)
    dataset = Dataset.at(arguments.dataset)
    answers = search(
        arguments.model, dataset, arguments.query, text, options, arguments.window, arguments.limit
    )
    print(format_answers(answers))
