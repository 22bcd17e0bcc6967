"""Rows (named tensors) of state dicts: unwrapping what others saved, and loading with a full report.

Conventions
-----------
- A row is a pair (parameter or buffer name, tensor). Published files wrap their rows in a dictionary (`state_dict`,
  `net`, `model`) and, when saved under `DataParallel`, prefix every name with `module.`.
- Nothing is skipped silently: `load_rows` fails with every missing, unexpected and misshapen row named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mcn.errors import UserError, several

WRAPPERS = ("state_dict", "net", "model")
DATA_PARALLEL_PREFIX = "module."


def unwrap(state: Mapping[str, Any]) -> dict[str, Any]:
    """The rows inside `state`: out of a wrapper if there is one, without the `DataParallel` prefix."""
    for wrapper in WRAPPERS:
        if isinstance(state.get(wrapper), Mapping):
            return unwrap(state[wrapper])
    return {name.removeprefix(DATA_PARALLEL_PREFIX): row for name, row in state.items()}


def below(rows: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The rows whose names start with `prefix`, that prefix removed."""
    return {name.removeprefix(prefix): row for name, row in rows.items() if name.startswith(prefix)}


def load_rows(module: nn.Module, rows: Mapping[str, Tensor], source: str) -> None:
    """Copy `rows` into `module`, each cast to the module's dtype.

    `source` names the file in the error. `num_batches_tracked` may be absent, as in files older than PyTorch 0.4.1;
    it counts training steps and changes no output. Any other difference: `UserError` that lists all of them.
    """
    expected = module.state_dict()
    problems = []
    for name, row in expected.items():
        if name not in rows:
            if not name.endswith("num_batches_tracked"):
                problems.append(f"missing {name} {_shape(row)}")
        elif rows[name].shape != row.shape:
            problems.append(f"{name} is {_shape(rows[name])}, should be {_shape(row)}")
    problems += [f"unexpected {name} {_shape(rows[name])}" for name in rows.keys() - expected]
    if problems:
        report = several(
            sorted(problems),
            f"a file whose names and shapes are those of {type(module).__name__}",
            "check that it is the checkpoint of this network, whole, and of these sizes",
        )
        raise UserError(f"{source}: {report.got}", report.wanted, report.do)
    module.load_state_dict({**expected, **rows})


def _shape(row: Tensor) -> str:
    return "x".join(map(str, row.shape)) if isinstance(row, torch.Tensor) and row.dim() else "()"
