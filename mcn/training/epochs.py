"""Models of single epochs: kept while a run goes on, and taken out as models of their own.

Conventions
-----------
- The model after epoch N lies in `epochs/eN` below the folder of the run, and below that of the model when it is done:
  model.safetensors and config.yaml as those of the whole run, with `epoch: N`. A resumed run writes the same bytes.
- A model that is taken out has a folder like any other. Its config.yaml says of which experiment it is (`epoch_of`),
  and its metrics.jsonl has the lines up to its epoch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcn.errors import UserError
from mcn.files import write_text
from mcn.networks import EmbeddingNetwork
from mcn.networks.checkpoints import load_model, save_model

FOLDER = "epochs"
METRICS = "metrics.jsonl"


class KeptEpochs:
    """The models of the epochs of one run below `run`; description: what config.yaml says of the model."""

    def __init__(
        self, run: Path, network: EmbeddingNetwork, description: Mapping[str, Any]
    ) -> None:
        self.folder, self.network, self.description = run / FOLDER, network, description

    def keep(self, epoch: int) -> None:
        """Write the network as the model of an epoch."""
        save_model(self.folder / f"e{epoch}", self.network, {**self.description, "epoch": epoch})

    def publish(self, output: Path, wanted: bool) -> None:
        """Move all of them below a finished model, in the place of those of an earlier run."""
        if self.folder.exists() or not wanted:
            shutil.rmtree(output / FOLDER, ignore_errors=True)
        if self.folder.exists():  # not where a run was killed after it had moved them
            shutil.move(self.folder, output / FOLDER)


def take_epoch(model: Path, epoch: int, output: Path) -> None:
    """Copy the model of an epoch of a trained model to the folder `output`.

    Errors: `UserError` where that epoch was not kept.
    """
    folder = model / FOLDER / f"e{epoch}"
    if not folder.exists():
        kept = sorted(int(one.name[1:]) for one in (model / FOLDER).glob("e*"))
        got = f"no epoch {epoch} of {model}; kept: {', '.join(map(str, kept)) or 'none'}"
        raise UserError(got, "an epoch that was kept", "train it with training.keep_epochs: 1")
    network, config = load_model(folder)
    lines = (model / METRICS).read_text(encoding="utf-8").splitlines(keepends=True)
    done = [line for line in lines if json.loads(line)["epoch"] <= epoch]
    write_text(output / METRICS, "".join(done))
    save_model(output, network, {**config, "epoch_of": model.name})
