"""Where a run starts from: the weights of a model that was trained before and, if wanted, the state of its training.

Conventions
-----------
- `training.start_from` is a folder of a model (trained or imported here), or a published checkpoint of MCN,
  AVLnet(-Text-Tri), HowTo100M or Everything at Once. Every row of a branch that both networks have is taken; another
  width is an error. A branch that the model lacks (audio in Miech et al.'s, reconstruction heads) is drawn from the
  seed, and one that the new network lacks is left; both are named in the log. A model with no branch in common is
  refused.
- `training.start_state: weights` begins with a fresh optimiser and clustering. `all` goes on with Adam's moments, the
  loss scale and the objective's heads, centroids and queue, of a folder whose run had `keep_state` (its `state.pt`,
  which knows the weights that it belongs to), or with Adam's moments of a published `amp_checkpoint.pt`, where `net`
  and `optimizer` lie together. The released code keeps neither queue nor centroids in its file.
- Where the schedule stands is not part of a state; `schedule_start_step` says it. The released code goes on counting
  (train_tri_kmeans.py, `scheduler.load_state_dict`), AVLnet's train.py has no schedule inside an epoch.
"""

from __future__ import annotations

import io
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from mcn.errors import UserError
from mcn.files import atomic_path, file_sha256
from mcn.networks import EmbeddingNetwork
from mcn.networks.checkpoints import (
    CONFIG,
    WEIGHTS,
    load_model,
    load_published,
    load_rows,
)
from mcn.networks.published_rows import published_name
from mcn.options.training import TrainingOptions
from mcn.training.step import Trainer

logger = logging.getLogger(__name__)

STATE = "state.pt"


def start_sha256(path: str) -> str:
    """The sha256 of the weights that a run starts from."""
    place = Path(path)
    file = place / WEIGHTS if place.is_dir() else place
    if not file.exists():
        got = f"training.start_from: {path}, where no model is"
        raise UserError(got, "a folder of a model, or a published checkpoint", "correct the path")
    return file_sha256(file)


def start(trainer: Trainer, options: TrainingOptions) -> None:
    """Give the trainer what `options.start_from` holds; see Conventions.

    Errors: `UserError` for a file that is no such model, for other widths, and for a state that is not there or is that
    of another network, objective or model.
    """
    path = options.start_from
    if path is None:
        return
    folder = Path(path).is_dir()
    source = load_model(path)[0] if folder else load_published(path)
    take_branches(trainer.network, source.state_dict(), path)
    if options.start_state == "all":
        state = _own_state(Path(path)) if folder else _published_state(Path(path), trainer.network)
        _restore(trainer, state, path)


def take_branches(network: EmbeddingNetwork, rows: Mapping[str, Tensor], source: str) -> None:
    """Copy the rows of the branches that `network` has; those that `rows` lack stay as they are."""
    own = network.state_dict()
    there, wanted = {_branch(name) for name in rows}, {_branch(name) for name in own}
    if not there & wanted:
        found = ", ".join(sorted(there))
        cure = "start from a model of the same modalities"
        raise UserError(f"{source}: a model of {found}", f"one of {sorted(wanted)}", cure)
    for names, what in ((wanted - there, "is drawn from the seed"), (there - wanted, "is left")):
        for name in sorted(names):
            logger.warning("start_from %s: %s %s", source, name, what)
    kept = {name: row for name, row in own.items() if _branch(name) not in there}
    taken = {name: row for name, row in rows.items() if _branch(name) in wanted}
    load_rows(network, {**kept, **taken}, source)


def _branch(name: str) -> str:
    return name.partition(".")[0]


def save_state(trainer: Trainer, output: Path) -> None:
    """Write the state of a finished run beside its model, or remove that of an earlier run."""
    path = output / STATE
    if not trainer.options.keep_state:
        path.unlink(missing_ok=True)
        return
    state = trainer.state_dict()
    kept = {name: state[name] for name in ("optimizer", "scaler", "objective")}
    weights = yaml.safe_load((output / CONFIG).read_text(encoding="utf-8"))["weights_sha256"]
    buffer = io.BytesIO()  # a file's own name would stand in the bytes
    torch.save({**kept, "weights_sha256": weights}, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def _own_state(folder: Path) -> dict[str, Any]:
    """What `save_state` wrote; `UserError` where it is not there or belongs to other weights."""
    wanted = "the state of the run that made this model"
    cure = "train it with training.keep_state: true, or set start_state: weights"
    state = _read(folder / STATE, wanted, cure)
    if state.get("weights_sha256") != file_sha256(folder / WEIGHTS):
        raise UserError(f"{folder / STATE}: of other weights", wanted, cure)
    return state


def _published_state(path: Path, network: EmbeddingNetwork) -> dict[str, Any]:
    """Adam's state of an amp_checkpoint.pt, its parameters in the order of ours."""
    wanted = "an amp_checkpoint.pt, which holds `net` and `optimizer`"
    cure = "give that file, or set start_state: weights"
    state = _read(path, wanted, cure)
    if not {"net", "optimizer"} <= set(state):
        raise UserError(f"{path}: {', '.join(sorted(map(str, state))[:5])}", wanted, cure)
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    theirs = [published_name(name) for name in state["net"] if not name.endswith(buffers)]
    moments = state["optimizer"]["state"]
    place = {name: number for number, name in enumerate(theirs)}
    own = [name for name, _ in network.named_parameters()]
    lacking = [name for name in own if name not in place]
    if lacking or not moments:
        got = f"{path}: no optimiser state of {', '.join(lacking[:5]) or 'any parameter'}"
        raise UserError(got, wanted, cure)
    # a parameter that no loss depends on has no moments
    taken = {n: moments[place[name]] for n, name in enumerate(own) if place[name] in moments}
    return {"optimizer": {"state": taken, "param_groups": [{"params": list(range(len(own)))}]}}


def _read(path: Path, wanted: str, cure: str) -> dict[str, Any]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"no {path}", wanted, cure) from None
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}", wanted, cure) from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: a {type(found).__name__}", wanted, cure)
    return found


def _restore(trainer: Trainer, state: Mapping[str, Any], source: str) -> None:
    """Adam's moments, and the loss scale and the objective's state where they are there."""
    try:
        options = trainer.optimizer.state_dict()["param_groups"]  # those of this run
        counts = [len(one["params"]) for one in (*options, *state["optimizer"]["param_groups"])]
        if len(set(counts)) > 1:
            raise ValueError(f"moments of {counts[-1]} parameters for {counts[0]}")
        moments = {"state": state["optimizer"]["state"], "param_groups": options}
        trainer.optimizer.load_state_dict(moments)
        _check_moments(trainer)
        if state.get("scaler"):
            trainer.scaler.load_state_dict(state["scaler"])
        if "objective" in state:
            trainer.objective.load_state_dict(state["objective"])
    except (KeyError, ValueError, RuntimeError, TypeError, IndexError) as error:
        got = f"the state of {source} does not fit: {error}"
        wanted = "a state of the same network, features and objective"
        raise UserError(got, wanted, "set start_state: weights, or the same sizes") from error


def _check_moments(trainer: Trainer) -> None:
    for parameter, moments in trainer.optimizer.state.items():
        if moments["exp_avg"].shape != parameter.shape:
            shapes = tuple(moments["exp_avg"].shape), tuple(parameter.shape)
            raise ValueError(f"moments of shape {shapes[0]} for a parameter of {shapes[1]}")
