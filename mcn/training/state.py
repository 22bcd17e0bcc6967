"""What a run writes while it goes on: checkpoints that it resumes from, bit for bit on the CPU, and its metrics.

Conventions
-----------
- The folder of a run holds checkpoints `step-N.pt`, of which the last two are kept, each with a note `step-N.json` (the
  run it belongs to, its step, its sha256). A checkpoint is written, flushed and renamed before its note, and older ones
  go after that: a kill at any moment leaves a good one.
- Nothing that lies there is trusted. A checkpoint or note that is damaged is set aside as `NAME.damaged`, with a
  message, and the one before is used; without one the run starts anew.
- Where the state lies on a GPU, training goes on while a thread writes; the next checkpoint and the end of a run wait
  for it. A kill in between leaves the one before.
- `identity` says which run a checkpoint belongs to: options and content of the inputs. Checkpoints of another run are
  removed, and the log says so.
- Checkpoints are PyTorch's files, of tensors and plain values, and are read with `weights_only=True`: no code is run.
- metrics.jsonl has one JSON object a line: `step` (steps done), `epoch` (epochs begun), then flat scalar keys, the part
  before the first `/` being the group: loss/total, loss/contrast, ..., lr, gradient_norm, clusters/used,
  clusters/largest_share, clusters/drift, time/step_seconds, time/loader_wait_share, time/clips_per_second,
  data/redrawn_share, data/without_{modality}_share (where clips that lack one are let in); at the end of an epoch
  epoch_loss/...; early/... for scores. A value that is not a finite number is null.
- metrics.jsonl and TensorBoard's files lie in the folder of the run too, for those who look at it while it goes on. A
  checkpoint holds all lines up to its step, and a resumed run writes its file from them, so that no step is missing and
  none occurs twice. `publish` writes the finished pair, TensorBoard's from the lines.
- One process at a time has the folder: whoever trains holds `lock_file` (`mcn.lifetime.only_process`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import pickle
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from mcn.files import atomic_path, canonical_json, file_sha256, write_json, write_text

logger = logging.getLogger(__name__)

KEPT = 2  # the newest, and the one before in case the newest is damaged
FORMAT = 2  # of what a checkpoint holds; raised when it changes
DAMAGED = ".damaged"


def lock_file(directory: Path) -> Path:
    """What the process that trains in `directory` holds; it lies beside the folder, which comes and goes."""
    return directory.with_name(f".{directory.name}.lock")


def set_aside(path: Path, why: object) -> None:
    """Rename a file that cannot be used, so that it is in nobody's way and can be looked at."""
    logger.warning("%s cannot be used (%s): set aside as %s%s", path, why, path.name, DAMAGED)
    with contextlib.suppress(FileNotFoundError):
        path.replace(path.with_name(path.name + DAMAGED))


class RunState:
    """The checkpoints of one run below `directory`."""

    def __init__(self, directory: Path, identity: dict[str, Any]) -> None:
        self.directory = directory
        self.identity = json.loads(canonical_json({**identity, "format": FORMAT}))
        directory.mkdir(parents=True, exist_ok=True)
        self._writer = ThreadPoolExecutor(1, "checkpoint writer")
        self._writing: Future[None] | None = None

    def save(self, step: int, state: dict[str, Any], waits: bool = True) -> None:
        """Write the state after `step` steps; returns when it is safe on disk.

        waits: otherwise it returns when the state is copied to the processor's memory; `finish` waits for the rest.
        """
        self.finish()
        if waits:
            self._write(step, state)
        else:
            self._writing = self._writer.submit(self._write, step, copied(state))

    def finish(self) -> None:
        """Wait until what was saved is safe on disk; raises what went wrong there."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def _write(self, step: int, state: dict[str, Any]) -> None:
        path = self.directory / f"step-{step:09d}.pt"
        with atomic_path(path) as temporary:
            torch.save(state, temporary)
        note = {"identity": self.identity, "step": step, "sha256": file_sha256(path)}
        write_json(path.with_suffix(".json"), note)
        self._remove_older()

    def latest(self) -> dict[str, Any] | None:
        """The newest intact state of this run; None where there is none, and then nothing of another run is left."""
        for note in self._notes():
            try:
                found = self._read(note)
            except _AnotherRun as other:
                logger.warning(
                    "checkpoints in %s belong to another run (%s differ): starting anew",
                    self.directory,
                    ", ".join(other.differ),
                )
                break
            if found is not None:
                return found
        self._clear_except_damaged()
        return None

    def clear(self) -> None:
        """Remove the folder: the run is finished."""
        self.finish()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _notes(self) -> list[Path]:
        """The notes of all checkpoints, newest first."""
        return sorted(self.directory.glob("step-*.json"), reverse=True)

    def _read(self, note: Path) -> dict[str, Any] | None:
        """The state that a note describes; None where either is damaged, which is then set aside."""
        path = note.with_suffix(".pt")
        try:
            described = json.loads(note.read_bytes())
            identity, step, sha256 = (described[key] for key in ("identity", "step", "sha256"))
            if not isinstance(identity, dict):
                raise ValueError("no identity of a run")
        except (OSError, ValueError, KeyError, TypeError) as error:
            set_aside(note, f"no note of a checkpoint: {error!r}")
            return None
        if identity != self.identity:
            keys = {*identity, *self.identity}
            raise _AnotherRun(
                sorted(key for key in keys if identity.get(key) != self.identity.get(key))
            )
        try:
            if file_sha256(path) != sha256:
                raise ValueError("its sha256 is not the one noted")
            state = dict(torch.load(path, map_location="cpu", weights_only=True))
        except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            set_aside(path, error)
            set_aside(note, "its checkpoint is damaged")
            return None
        logger.info("resuming after step %s from %s", step, self.directory)
        return state

    def _remove_older(self) -> None:
        kept = {note.stem for note in self._notes()[:KEPT]}
        for path in self.directory.glob("step-*"):
            if path.suffix in (".pt", ".json") and path.stem not in kept:
                path.unlink(missing_ok=True)

    def _clear_except_damaged(self) -> None:
        if any(self.directory.glob("step-*.pt")):
            logger.warning("nothing in %s can be continued: starting anew", self.directory)
        for path in self.directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.suffix != DAMAGED:
                path.unlink(missing_ok=True)


def copied(state: Any) -> Any:
    """A state whose tensors, in dictionaries, lists and tuples, are copies in the processor's memory."""
    if isinstance(state, torch.Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {key: copied(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(copied(one) for one in state)
    return state


class _AnotherRun(Exception):
    """A checkpoint belongs to another run; `differ`: keys of the identity."""

    def __init__(self, differ: list[str]) -> None:
        self.differ = differ
        super().__init__(", ".join(differ))


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

    text: the lines that the resumed checkpoint holds; '' for a new run. step: steps done.
    """

    def __init__(self, directory: Path, text: str, step: int) -> None:
        self.path = directory / METRICS
        self._lines = text.splitlines(keepends=True)
        directory.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and not self.path.read_bytes().startswith(text.encode()):
            set_aside(self.path, "its lines are not those of the checkpoint")
        write_text(self.path, text)
        self._file = open(self.path, "ab")  # noqa: SIM115 (until `close`)
        self._board = SummaryWriter(str(directory / TENSORBOARD), purge_step=step + 1)

    @property
    def text(self) -> str:
        """All lines so far: what a checkpoint has to remember."""
        return "".join(self._lines)

    def write(self, step: int, epoch: int, values: Mapping[str, float | None]) -> None:
        """Append one line."""
        record = {"step": step, "epoch": epoch, **{key: finite(v) for key, v in values.items()}}
        self._lines.append(json.dumps(record, allow_nan=False) + "\n")
        self._file.write(self._lines[-1].encode())
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


def publish(text: str, output: Path) -> None:
    """Write metrics.jsonl and tensorboard/ of a finished run below `output`; text: its lines."""
    partial = output / f".{TENSORBOARD}.part"
    shutil.rmtree(partial, ignore_errors=True)
    with SummaryWriter(str(partial)) as board:
        for line in text.splitlines():
            add_scalars(board, json.loads(line))
    shutil.rmtree(output / TENSORBOARD, ignore_errors=True)
    partial.rename(output / TENSORBOARD)
    write_text(output / METRICS, text)
