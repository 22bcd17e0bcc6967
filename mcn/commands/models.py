"""Verbs that make a model, of feature shards or of frozen encoders, and compare two: train, freeze, judge."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mcn.commands.verbs import Verbs, add_path, add_verb


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = add_verb(verbs, "train", train, "mcn.options.sections:Experiment", runtime=True)
    add_path(verb, "results", "folder that holds the data sets")
    add_path(verb, "--output", "folder of the model")
    add_path(verb, "--checkpoints", "folder to resume from")
    verb.add_argument("--shards", type=int, required=True, help="shards of the training set")
    verb.add_argument(
        "--early-shards", type=int, default=0, help="shards of the early evaluation set"
    )
    verb.add_argument("--leaks", type=Path, help="leaks.csv, whose videos are left out")
    verb.add_argument("--processes", type=int, default=1, help="processes a node, one a GPU (1)")
    verb.add_argument("--nodes", type=int, default=1, help="nodes of the Slurm job (1)")

    verb = add_verb(verbs, "epoch", take_epoch)
    add_path(verb, "model", "folder of a model, trained with keep_epochs")
    verb.add_argument("epoch", type=int, help="which epoch, from 1")
    add_path(verb, "--output", "folder of its model")

    verb = add_verb(verbs, "judge", judge)
    add_path(verb, "head", "folder of a model with `model.residual_on`")
    add_path(verb, "pair", "folder of the frozen pair that it stands on")
    add_path(verb, "dataset", "results/{dataset} that it was trained on")
    verb.add_argument("--shards", type=int, required=True, help="shards of the data set")
    add_path(verb, "--output", ".json")

    verb = add_verb(verbs, "freeze", freeze, "mcn.options.sections:Experiment", runtime=True)
    verb.add_argument("--rows", required=True, help="JSON of the rows of the features, by name")
    add_path(verb, "--output", "folder of the model")


def train(arguments: Namespace) -> None:
    """Train one experiment; an interrupted run goes on where it stopped."""
    from mcn.distributed import joined, local_device, local_threads, spread

    spread(arguments.nodes, arguments.processes)
    from mcn.evaluation.retrieval.stage import early_scores_of
    from mcn.features.runtime import resolve
    from mcn.layout import Dataset
    from mcn.options.base import parse_options
    from mcn.options.features import RuntimeOptions
    from mcn.options.sections import Experiment
    from mcn.training.steps import StepTables
    from mcn.training.train import TrainingJob, train

    experiment: Experiment = parse_options(Experiment, arguments.options)
    runtime = parse_options(RuntimeOptions, arguments.runtime)
    dataset = Dataset(arguments.results / experiment.dataset, arguments.shards)
    residual_on = experiment.model.residual_on
    pair = arguments.output.parent / residual_on if residual_on else None
    device = local_device(runtime.device)
    where = runtime.model_copy(update={"device": device})
    with joined(device) as processes:
        job = TrainingJob(
            experiment,
            dataset.model_shards(*experiment.training_features),
            arguments.output,
            arguments.checkpoints,
            resolve(where, local_threads(arguments.threads)),
            early_scores_of(experiment, arguments.results, arguments.early_shards),
            processes,
            arguments.leaks,
            pair,
            StepTables(dataset.table("tasks"), dataset.table("steps")),
            arguments.results,
        )
        train(job)


def judge(arguments: Namespace) -> None:
    """Compare a head with the frozen pair that it stands on, by clips that it was not trained on."""
    from mcn.evaluation.retrieval.verdict import judge
    from mcn.layout import Dataset

    dataset = Dataset(arguments.dataset, arguments.shards)
    judge(arguments.head, arguments.pair, dataset, arguments.output)


def freeze(arguments: Namespace) -> None:
    """Put frozen encoders together as a model; nothing is trained."""
    from mcn.evaluation.frozen import freeze
    from mcn.features.runtime import resolve
    from mcn.options.base import parse_options, parsed, read_values
    from mcn.options.features import FeatureRows, RuntimeOptions
    from mcn.options.sections import Experiment

    experiment: Experiment = parse_options(Experiment, arguments.options)
    rows = parsed(FeatureRows, {"features": read_values(arguments.rows)}).features
    runtime = parse_options(RuntimeOptions, arguments.runtime)
    freeze(experiment, rows, arguments.output, resolve(runtime, arguments.threads))


def take_epoch(arguments: Namespace) -> None:
    """Take the model of one epoch out of a trained model that kept it."""
    from mcn.training.epochs import take_epoch

    take_epoch(arguments.model, arguments.epoch, arguments.output)
