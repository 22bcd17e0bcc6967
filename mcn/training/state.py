"""What a run writes while it goes on: checkpoints that it resumes from, bit for bit on the CPU, and its metrics.

Conventions
-----------
- The folder of a run holds `state.json` (newest checkpoint first: file, step, sha256) and the files it names, of which
  the last two are kept. A checkpoint is written, flushed and renamed before `state.json` names it, and older ones go
  after that: a kill at any moment leaves a good one. A damaged file is passed over in favour of the one before.
- `identity` says which run a checkpoint belongs to: options and content of the inputs. Checkpoints of another run are
  removed, and the log says so.
- Checkpoints are PyTorch's files, of tensors and plain values, and are read with `weights_only=True`: no code is run.
- metrics.jsonl has one JSON object a line: `step` (steps done), `epoch` (epochs begun), then flat scalar keys, the part
  before the first `/` being the group: loss/total, loss/contrast, ..., lr, gradient_norm, clusters/used,
  clusters/largest_share, clusters/drift, time/step_seconds, time/loader_wait_share, time/clips_per_second,
  data/redrawn_share, data/without_{modality}_share (where clips that lack one are let in); at the end of an epoch
  epoch_loss/...; early/... for scores. A value that is not a finite number is null.
- metrics.jsonl and TensorBoard's files lie in the folder of the run too. A resumed run cuts the lines that its
  checkpoint does not know, so that no step occurs twice. `publish` writes the finished pair, TensorBoard's from the
  lines.
"""

from __future__ import annotations

import json
import logging
import math
import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from mcn.files import atomic_path, canonical_json, file_sha256, write_json, write_text

logger = logging.getLogger(__name__)

KEPT = 2  # the newest, and the one before in case the newest is damaged
INDEX = "state.json"


class RunState:
    """The checkpoints of one run below `directory`."""

    def __init__(self, directory: Path, identity: dict[str, Any]) -> None:
        self.directory, self.identity = directory, json.loads(canonical_json(identity))
        directory.mkdir(parents=True, exist_ok=True)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write the state after `step` steps; returns when it is safe on disk."""
        path = self.directory / f"step-{step:09d}.pt"
        with atomic_path(path) as temporary:
            torch.save(state, temporary)
        entry = {"file": path.name, "step": step, "sha256": file_sha256(path)}
        older = [known for known in self._entries() if known["file"] != path.name]
        kept = [entry, *older][:KEPT]
        write_json(self.directory / INDEX, {"identity": self.identity, "checkpoints": kept})
        self._remove_except({known["file"] for known in kept})

    def latest(self) -> dict[str, Any] | None:
        """The newest intact state of this run; None where there is none, the folder then being empty."""
        for entry in self._entries():
            state = self._read(entry)
            if state is not None:
                logger.info("resuming after step %d from %s", entry["step"], self.directory)
                return state
        if any(self.directory.iterdir()):
            self.clear()
            self.directory.mkdir(parents=True)
        return None

    def clear(self) -> None:
        """Remove the folder: the run is finished, or it is not ours to continue."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _entries(self) -> list[dict[str, Any]]:
        """Checkpoints of this very run, newest first."""
        try:
            index = json.loads((self.directory / INDEX).read_text(encoding="utf-8"))
            identity, entries = index["identity"], index["checkpoints"]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s is unreadable (%s): starting anew", self.directory / INDEX, error)
            return []
        if identity != self.identity:
            keys = {*identity, *self.identity}
            changed = sorted(key for key in keys if identity.get(key) != self.identity.get(key))
            logger.warning(
                "checkpoints in %s belong to another run (%s differ): starting anew",
                self.directory,
                ", ".join(changed),
            )
            return []
        return list(entries)

    def _read(self, entry: dict[str, Any]) -> dict[str, Any] | None:
        path = self.directory / entry["file"]
        try:
            if file_sha256(path) != entry["sha256"]:
                raise ValueError("its sha256 is not the one noted")
            return dict(torch.load(path, map_location="cpu", weights_only=True))
        except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            logger.warning("checkpoint %s cannot be used: %s", path, error)
            return None

    def _remove_except(self, names: set[str]) -> None:
        for path in self.directory.glob("step-*.pt"):
            if path.name not in names:
                path.unlink(missing_ok=True)


def random_state() -> dict[str, Any]:
    """State of PyTorch's global generators; everything else that is random is drawn from (seed, step)."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state: dict[str, Any]) -> None:
    """Set what `random_state` gave; generators of GPUs only where the same number of them is there."""
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


METRICS, TENSORBOARD = "metrics.jsonl", "tensorboard"


class TrainingLog:
    """Append lines to `directory`/metrics.jsonl and the same scalars to `directory`/tensorboard.

    kept: bytes of metrics.jsonl that the resumed checkpoint knows; 0 for a new run. step: steps done.
    """

    def __init__(self, directory: Path, kept: int, step: int) -> None:
        self.path = directory / METRICS
        directory.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "ab")  # noqa: SIM115 (until `close`)
        self._file.truncate(kept)
        self._file.seek(kept)
        self._board = SummaryWriter(str(directory / TENSORBOARD), purge_step=step + 1)

    def position(self) -> int:
        """Bytes of metrics.jsonl, which are on disk by then: what a checkpoint has to remember."""
        os.fsync(self._file.fileno())
        return self._file.tell()

    def write(self, step: int, epoch: int, values: Mapping[str, float | None]) -> None:
        """Append one line."""
        record = {"step": step, "epoch": epoch, **{key: finite(v) for key, v in values.items()}}
        self._file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
        self._file.flush()
        add_scalars(self._board, record)

    def close(self) -> None:
        """Flush and close both."""
        self._file.close()
        self._board.close()


def finite(value: float | None) -> float | None:
    """`value`, or None where JSON has no such number."""
    return value if value is not None and math.isfinite(value) else None


def add_scalars(board: SummaryWriter, record: Mapping[str, Any]) -> None:
    """A line's scalars at its step."""
    for key, value in record.items():
        if key not in ("step", "epoch") and value is not None:
            # TensorBoard allows no '>' in a tag
            board.add_scalar(key.replace("->", "_to_"), value, record["step"])


def publish(directory: Path, output: Path) -> None:
    """Write metrics.jsonl and tensorboard/ of a finished run below `output`."""
    text = (directory / METRICS).read_text(encoding="utf-8")
    partial = output / f".{TENSORBOARD}.part"
    shutil.rmtree(partial, ignore_errors=True)
    with SummaryWriter(str(partial)) as board:
        for line in text.splitlines():
            add_scalars(board, json.loads(line))
    shutil.rmtree(output / TENSORBOARD, ignore_errors=True)
    partial.rename(output / TENSORBOARD)
    write_text(output / METRICS, text)
