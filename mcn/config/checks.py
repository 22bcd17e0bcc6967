"""What must be there for a configuration: names of data sets, features and epochs, annotations in pairs, manifests.

Conventions: every problem is a line `key: what is wrong`, with the nearest name that there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcn.config.features import feature_problems
from mcn.config.study import study_problems
from mcn.errors import UserError, several
from mcn.options.base import nearest
from mcn.options.encoders import TextOptions
from mcn.options.objectives import Needs
from mcn.options.sections import CAPTIONS, DatasetOptions, Experiment
from mcn.sources.adapters import adapter_of
from mcn.sources.manifest import read_manifest
from mcn.sources.outside import KNOWN_BYTES
from mcn.sources.videos import narration_lines

if TYPE_CHECKING:
    from mcn.config.configuration import Configuration


def reference_problems(settings: Configuration) -> list[str]:
    """Names of data sets that are not there, and annotations that come in pairs."""
    uses = {"seeding.dataset": settings.seeding.dataset} if settings.datasets else {}
    users = {
        feature: f"experiments.{name}"
        for name, experiment in settings.experiments.items()
        for feature in (*experiment.features.names, *experiment.training_features.names)
    }
    meaning = settings.search.meaning
    if meaning:
        users[meaning] = "search.meaning"
    problems = feature_problems(settings.features, users)
    if meaning and meaning not in settings.features:
        problems.append(
            f"search.meaning: no feature {meaning!r}{nearest(meaning, settings.features)}"
        )
    elif meaning and settings.features[meaning].kind != "text":
        problems.append(f"search.meaning: {meaning} is no feature of texts")
    for name, experiment in settings.experiments.items():
        problems += _experiment_problems(name, experiment, settings)
        early = experiment.early_evaluation
        uses[f"experiments.{name}.dataset"] = experiment.dataset
        uses[f"experiments.{name}.early_evaluation.dataset"] = early.dataset if early else None
    problems += study_problems(settings)
    for name, row in settings.features.items():
        if isinstance(row, TextOptions) and row.train and users.get(name):
            uses[f"features.{name}.train.dataset"] = row.train.dataset
    for key, used in uses.items():
        if used is not None and used not in settings.datasets:
            problems.append(f"{key}: no data set {used!r}{nearest(used, settings.datasets)}")
    for name, dataset in settings.datasets.items():
        problems += [f"datasets.{name}{line}" for line in _dataset_problems(dataset)]
    return problems


def _experiment_problems(
    name: str, experiment: Experiment, settings: Configuration
) -> Iterator[str]:
    """What an experiment names that is not there, or cannot be."""
    for line in experiment.feature_problems(settings.features):
        yield f"experiments.{name}.{line}"
    if not (experiment.dataset or experiment.checkpoint or experiment.is_frozen):
        yield f"experiments.{name}.dataset: missing; or give a checkpoint to import"
    trained_on = settings.datasets.get(experiment.dataset or "")
    if experiment.objective.needs.steps and trained_on and not trained_on.steps:
        yield (
            f"experiments.{name}: its objective is told which step is shown when, and {experiment.dataset} has no "
            "steps; give it tasks and steps, or take another objective"
        )
    yield from _start_problems(name, experiment, settings)
    yield from _residual_problems(name, experiment, settings)
    yield from _epoch_problems(name, experiment, settings)
    early = experiment.early_evaluation
    scored = settings.datasets.get(early.dataset) if early else None
    if early and scored and not scored.captions:
        yield f"experiments.{name}.early_evaluation: {early.dataset} has no captions"


def _dataset_problems(dataset: DatasetOptions) -> Iterator[str]:
    """Annotations of a data set that come together, and files that cannot be named so; each line behind its key."""
    if dataset.official:
        try:
            refused = adapter_of(dataset.official).refusals()
        except UserError as error:
            yield f".official.kind: {error.got}"
            return
        yield from (f".official: {one}" for one in refused)
    yield from _wildcards("", dataset.model_dump())
    if not dataset.manifest:
        yield ".manifest: missing; or name a published set: official"
    if dataset.narration_table == CAPTIONS:
        yield f".narration_table: {CAPTIONS}, and there are none"
    if bool(dataset.tasks) != bool(dataset.steps):
        yield ": tasks and steps come together"
    if bool(dataset.actions) != bool(dataset.labels):
        yield ": actions and labels come together"
    if len({bool(one) for one in (dataset.classes, dataset.transcripts, dataset.segments)}) > 1:
        yield ": classes, transcripts and segments come together"


def check_manifests(settings: Configuration) -> None:
    """Read every small manifest that exists already; `UserError` lists every problem of all of them.

    A manifest that does not exist is left to the workflow: a rule may make it, and Snakemake says so if none does.
    """
    problems = []
    for name, dataset in settings.datasets.items():
        path = Path(dataset.manifest)
        if not path.exists() or path.stat().st_size > KNOWN_BYTES:
            continue
        strict = dataset.missing_files == "error"
        try:
            rows = read_manifest(path, check_files=strict)
            unread = narration_lines(rows)[1] if strict else {}
            found = [f"{video_id}: {error}" for video_id, error in unread.items()]
        except UserError as error:
            found = [error.got]
        problems += [f"datasets.{name}: {problem}" for problem in found]
    if problems:
        raise several(problems, "manifests whose every row is usable", "mend them, then run again")


def _start_problems(name: str, experiment: Experiment, settings: Configuration) -> list[str]:
    """A model of this run that an experiment starts from, and that no other experiment makes."""
    start, key = experiment.training.start_from, f"experiments.{name}.training.start_from"
    if not start or experiment.checkpoint or Path(start).parts[:2] != ("results", "models"):
        return []
    model = Path(start).parts[2] if len(Path(start).parts) > 2 else ""
    if model == name:
        return [f"{key}: the experiment itself; name another one"]
    if model in {*settings.experiments, *settings.epoch_models()} or Path(start).exists():
        return []
    return [f"{key}: no experiment {model!r}{nearest(model, settings.experiments)}"]


def _residual_problems(name: str, experiment: Experiment, settings: Configuration) -> list[str]:
    """A head on a frozen pair that is not there, reads other features, or whose objective wants another network."""
    pair, key = experiment.model.residual_on, f"experiments.{name}.model"
    if pair is None or experiment.is_frozen or experiment.checkpoint:
        return []
    there = {one: other for one, other in settings.experiments.items() if other.is_frozen}
    if pair not in there:
        near = nearest(pair, there) if there else "; there is none"
        return [f"{key}.residual_on: no experiment of kind frozen {pair!r}{near}"]
    problems = []
    if experiment.features != there[pair].features:
        lines = zip(
            ("video", "audio", "text"), experiment.features, there[pair].features, strict=True
        )
        found = [f"{one} {mine!r}, not {pairs!r}" for one, mine, pairs in lines if mine != pairs]
        problems.append(
            f"{key}: {'; '.join(found)}, which {pair} reads; name the features of the pair, and an objective "
            "that trains them"
        )
    if there[pair].frozen.fusion == "late":
        problems.append(
            f"{key}.residual_on: {pair} has frozen.fusion: late, and a head is trained on clips of unit length; name a "
            "pair with fusion: mean"
        )
    needs = experiment.objective.needs
    if needs.network != Needs().network or needs.visual_units or needs.reconstructs:
        problems.append(
            f"{key}.residual_on: {experiment.objective.kind} wants a network of its own; set "
            "objective.reconstruction_weight: 0, or choose norm_softmax"
        )
    return problems


def _epoch_problems(name: str, experiment: Experiment, settings: Configuration) -> list[str]:
    """An epoch that is not kept, and names of epochs that other experiments have."""
    taken = [f"{name}_e{one}" for one in experiment.kept_epochs]
    problems = [
        f"experiments.{one}: the name of an epoch that {name} keeps; give it another one"
        for one in taken
        if one in settings.experiments
    ]
    if bool(experiment.epoch_of) != bool(experiment.epoch):
        return [*problems, f"experiments.{name}: epoch_of and epoch come together"]
    whole = settings.experiments.get(experiment.epoch_of or "")
    if whole is not None and experiment.epoch not in whole.kept_epochs:
        kept = ", ".join(map(str, whole.kept_epochs)) or "none: set its training.keep_epochs"
        problems.append(f"experiments.{name}.epoch: {experiment.epoch}; kept: {kept}")
    return problems


def _wildcards(key: str, value: Any) -> list[str]:
    """Paths that Snakemake would take for patterns: it knows no way to say that a brace is a brace."""
    if isinstance(value, dict):
        return [line for name, one in value.items() for line in _wildcards(f"{key}.{name}", one)]
    if isinstance(value, str) and re.search(r"\{\s*\w+[^{}]*\}", value):
        return [f"{key}: {value!r} has braces, which Snakemake fills in; rename the file or folder"]
    return []
