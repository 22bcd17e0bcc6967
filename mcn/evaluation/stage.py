"""Run one evaluation of a model on a data set and write its JSON: what is the same for every evaluation.

Conventions
-----------
- An evaluation is a function `evaluate(given: EvaluatedModel) -> dict` of plain values, with a key `scores`. What is
  written adds `experiment`, `dataset`, `synthetic` before its keys, and `missing_policy` and `provenance` after them.
- `provenance` says what the scores were made from: the model's digest, the features that it reads and their recipes,
  the options, versions and the device.
"""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mcn
from mcn.errors import UserError
from mcn.evaluation.embed import EvaluatedModel
from mcn.files import write_json
from mcn.options.evaluation import OwnEvaluation
from mcn.options.own_parts import load_part, part_errors
from mcn.options.tasks import TASKS

logger = logging.getLogger(__name__)

VERSION = 1  # raised when the same inputs would give other scores
CONTRACT = (
    "a function of one EvaluatedModel that returns a dictionary of plain values with `scores`: name -> number or null "
    "(mcn/evaluation/__init__.py)"
)

Evaluate = Callable[[EvaluatedModel], Mapping[str, Any]]


def run_evaluation(name: str, given: EvaluatedModel, output: Path) -> dict[str, Any]:
    """Run an evaluation of `TASKS`, or the user's own, and write its JSON atomically; the values are returned.

    Errors: `UserError` for a model that lacks a modality, for annotations, features or vocabularies that are missing,
    damaged or do not fit the model, and for an own evaluation that breaks its contract.
    """
    has = {modality for modality, names in given.inputs.by_modality.items() if names}
    own = given.options if isinstance(given.options, OwnEvaluation) else None
    suits = set(own.modalities) <= has if own else TASKS[name].suits(has)
    if not suits:
        wanted = ", ".join(own.modalities) if own else TASKS[name].wanted
        got = f"a model of {', '.join(sorted(has))} for the evaluation {name}"
        raise UserError(got, f"one of {wanted}", "evaluate another model")
    found = _own_result(own, given) if own else _function(name)(given)
    result = {
        "experiment": given.experiment,
        "dataset": given.dataset,
        "synthetic": given.synthetic,
        **found,
        "missing_policy": given.options.missing_modality,
        "provenance": provenance(given),
    }
    write_json(output, result)
    first = next(iter(found["scores"].values()), None)
    shown = first if isinstance(first, Mapping) else found["scores"]
    logger.info("%s on %s, %s: %s", given.experiment, given.dataset, name, shown)
    return result


def provenance(given: EvaluatedModel) -> dict[str, Any]:
    """Model, features, options, versions and device; plain JSON values."""
    return {
        "version": VERSION,
        "model": {key: given.config.get(key) for key in ("weights_sha256", "network")},
        "inputs": {**given.inputs._asdict(), "video": list(given.inputs.video)},
        "features": {name: store.recipe for name, store in given.stores.items()},
        "options": given.options.model_dump(mode="json"),
        "device": given.device.type,
        "mcn": mcn.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def _function(task: str) -> Evaluate:
    """The function of an evaluation of this package."""
    module = importlib.import_module("mcn.evaluation." + TASKS[task].module)
    evaluate: Evaluate = module.evaluate
    return evaluate


def _own_result(own: OwnEvaluation, given: EvaluatedModel) -> dict[str, Any]:
    """What an evaluation of the user's own returns; `UserError` naming the file where it breaks the contract."""
    evaluate: Evaluate = load_part(own.evaluate, CONTRACT)
    with part_errors(own.evaluate, CONTRACT):
        found = evaluate(given)
        if not isinstance(found, Mapping):
            raise TypeError(f"it returned {type(found).__name__}, not a dictionary")
        for name, scores in [(key, found.get(key, {})) for key in ("scores", "chance")]:
            if not isinstance(scores, Mapping):
                raise TypeError(f"{name} is {type(scores).__name__}, not a dictionary")
            bad = [
                key for key, one in scores.items() if not isinstance(one, (int, float, type(None)))
            ]
            if bad:
                raise TypeError(f"{name}.{bad[0]} is {type(scores[bad[0]]).__name__}, not a number")
        if not found.get("scores"):
            raise ValueError("it returned no scores")
        json.dumps(found, allow_nan=False)
        return dict(found)
