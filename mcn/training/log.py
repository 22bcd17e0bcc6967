"""metrics.jsonl and TensorBoard of a training run.

Conventions
-----------
- One JSON object a line: `step` (steps done), `epoch` (epochs begun), then flat scalar keys, the part before the first
  `/` being the group: loss/total, loss/contrast, ..., lr, gradient_norm, clusters/used, clusters/largest_share,
  clusters/drift, time/step_seconds, time/loader_wait_share, time/clips_per_second, data/redrawn_share,
  data/without_{modality}_share (where clips that lack one are let in); at the end of an epoch epoch_loss/...;
  early/... for scores. A value that is not a finite number is null.
- While a run goes on both lie in the checkpoint folder. A resumed run cuts the lines that its checkpoint does not
  know, so that no step occurs twice. `publish` writes the finished pair, TensorBoard's from the lines.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from mcn.files import write_text

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
