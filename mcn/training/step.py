"""One step of training: forward, loss, backward, Adam.

Conventions
-----------
- Precision: `fp32`, or `bf16`/`fp16` through `torch.autocast` (matrix products and convolutions in half precision,
  parameters and losses in float32); fp16 with loss scaling, as the released code's apex O1. On CUDA the products of
  float32, those of losses and of k-means among them, are taken in TF32 (10 bits) in every precision but `fp32`, and
  cuDNN times its algorithms: steps repeat themselves bit for bit on the CPU alone.
- The learning rate is a linear warm-up, then half a cosine to 0 (MCN train_tri_kmeans.py:49-61), or a factor for each
  epoch that is done (HowTo100M and AVLnet train.py), or constant:

      lr(step) = peak * step / warmup                                            step < warmup
                 peak * (1 + cos(pi * (step - warmup) / (total - warmup))) / 2   cosine
                 peak * decay ^ epochs done                                      epochs

  Steps count from 0 over the whole run, so the first step of a warm-up has rate 0, as released; with
  `schedule_start_step` they count from there, and the cosine rises again behind its end, as released. The rate follows
  from the step alone, so the state of a run is: network, Adam, loss scale, objective.
- The objective's own heads are trained with the network. No kind of objective is known here.
- A loss that is not finite or that exceeds `loss_limit` times the first step's stops the run before Adam sees it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mcn.distributed import ALONE, Processes, averaging, share_batch_norms
from mcn.errors import UserError
from mcn.features.runtime import Runtime, products
from mcn.networks import EmbeddingNetwork
from mcn.objectives.objective import Objective, StepInputs
from mcn.options.objectives import MODALITIES
from mcn.options.training import ExperimentOptions, TrainingOptions
from mcn.training.batches import Batch


def learning_rate(step: int, total: int, peak: float, warmup: int, start: int = 0) -> float:
    """Rate of step `step` of `total` under a cosine; ValueError outside 0 <= step < total. start: steps before it."""
    if not 0 <= step < total:
        raise ValueError(f"step {step} of {total}")
    step += start
    if step < warmup:
        return peak * step / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def scheduled_rate(step: int, total: int, options: TrainingOptions) -> float:
    """Rate of step `step` of `total` under the schedule of the options."""
    peak, warmup, start = options.learning_rate, options.warmup_steps, options.schedule_start_step
    if options.schedule == "cosine" or step + start < warmup:
        return learning_rate(step, total, peak, warmup, start)
    if options.schedule == "constant":
        return peak
    return peak * options.epoch_decay ** ((step + start) * options.epochs // total)


def check_warmup(total: int, warmup: int) -> None:
    """`UserError` where the run would end inside its warm-up, as a small set under the published 5000 steps would."""
    if warmup >= total:
        raise UserError(
            f"training.warmup_steps is {warmup}, and the whole run has {total} steps",
            "a warm-up shorter than the run",
            f"set training.warmup_steps to about {max(1, total // 10)}, or raise training.epochs",
        )


HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class StepReport(NamedTuple):
    """losses: `total` and every weighted term; gradient_norm: before clipping, None where loss scaling overflowed."""

    losses: dict[str, float]
    learning_rate: float
    gradient_norm: float | None


class Trainer:
    """Network, objective and Adam on one device.

    vocabulary: (V + 1, W) word vectors, row 0 zeros; total: steps of the whole run; processes: those that share every
    step, each with a trainer of its own.
    """

    def __init__(
        self,
        network: EmbeddingNetwork,
        objective: Objective,
        vocabulary: Tensor,
        experiment: ExperimentOptions,
        total: int,
        runtime: Runtime,
        processes: Processes = ALONE,
    ) -> None:
        self.processes, self.total = processes, total
        if processes.count > 1 and experiment.training.batch_norm == "shared":
            network = share_batch_norms(network, runtime.device)
        self.precision, self.device = runtime.precision, runtime.device
        self.network, self.objective = network.to(self.device), objective
        self.vocabulary = vocabulary.to(self.device)
        needs = experiment.needs
        self.mask_audio = experiment.model.mask_padding_audio or needs.valid_frames
        self.log_mels = "audio" not in needs.rows
        self.options = options = experiment.training
        self.parameters = [*network.parameters(), *objective.heads.parameters()]
        self.optimizer = torch.optim.Adam(
            self.parameters,
            lr=options.learning_rate,
            betas=options.betas,
            weight_decay=options.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )
        self.training_mode()
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.first_loss: float | None = None

    def training_mode(self) -> None:
        """Set the network to train; batch norms keep the statistics that they have under `batch_norm: frozen`."""
        self.network.train()
        if self.options.batch_norm == "frozen":
            for module in self.network.modules():
                if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def step(self, batch: Batch, step: int) -> StepReport:
        """Train on one batch; `step` counts from 0. A diverged loss: `UserError`."""
        with products(tf32=self.precision != "fp32", tuned=self.device.type == "cuda"):
            return self._step(batch, step)

    def _step(self, batch: Batch, step: int) -> StepReport:
        rate = scheduled_rate(step, self.total, self.options)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        terms = self._losses(batch)
        losses = dict(zip(terms, torch.stack(list(terms.values())).tolist(), strict=True))
        self._check(losses, step)
        self.scaler.scale(terms["total"]).backward()
        self.scaler.unscale_(self.optimizer)
        norm = self._clip_gradients()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return StepReport(losses, rate, norm)

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        inputs = self.inputs(batch, mask_absent=self.options.empty_clips == "mask")
        half = HALF.get(self.precision)
        with torch.autocast(self.device.type, dtype=half, enabled=half is not None):
            return self._whole_step(inputs)

    @cached_property
    def _whole_step(self) -> Callable[[StepInputs], dict[str, Tensor]]:
        """Losses of inputs, whose backward pass leaves the same gradients in all processes."""
        call = self._objective_of
        if self.processes.count == 1:
            return call
        return averaging(call, self.network, self.objective.heads)

    def _objective_of(self, inputs: StepInputs) -> dict[str, Tensor]:
        return self.objective(self.network, inputs, self.processes)

    def inputs(self, batch: Batch, mask_absent: bool) -> StepInputs:
        """A batch on the device, token ids as word vectors. mask_absent: leave out of the loss what clips lack.

        Second clips always tell what they lack: a moved window may have no room.
        """

        def move(rows: Tensor) -> Tensor:
            return rows.to(self.device, non_blocking=True)

        audio = move(batch.audio).float()
        if audio.dim() == 3 and self.log_mels:  # (N, frames, 40) as stored -> (N, 40, frames)
            audio = audio.transpose(1, 2).contiguous()
        ids = move(batch.words)
        candidates = None if batch.candidates is None else move(batch.candidates)
        said = None if batch.translations is None else move(batch.translations)
        there = dict(zip(MODALITIES, batch.present.t(), strict=True))
        absent = {name: move(row) for name, row in there.items() if mask_absent and not row.all()}
        return StepInputs(
            move(batch.video).float(),
            audio,
            F.embedding(ids, self.vocabulary),
            ids,
            self.options.clips_per_video,
            move(batch.frames) if self.mask_audio else None,
            absent,
            None if candidates is None else F.embedding(candidates, self.vocabulary),
            None if candidates is None else (candidates != 0).any(dim=-1),
            None if batch.units is None else move(batch.units),
            None if batch.second is None else self.inputs(batch.second, True),
            None if batch.steps is None else move(batch.steps),
            translations=None if said is None else F.embedding(said, self.vocabulary),
            translated=None if said is None else (said != 0).any(dim=-1),
            held=batch.held,
        )

    def _check(self, losses: dict[str, float], step: int) -> None:
        total = losses["total"]
        if self.first_loss is None and total and math.isfinite(total):
            self.first_loss = total
        limit = self.options.loss_limit * abs(self.first_loss or 0.0)
        if not math.isfinite(total) or total > limit:
            terms = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
            raise UserError(
                f"a diverged loss at step {step}: {terms}",
                f"a finite loss of at most {limit:.4g} (training.loss_limit times the first step's)",
                "lower training.learning_rate, set training.gradient_clip, or use precision fp32; the last "
                "good checkpoint is kept and is continued only under the same options",
            )

    def _clip_gradients(self) -> float | None:
        limit = self.options.gradient_clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, limit)
        value = float(norm)
        return value if math.isfinite(value) else None

    def state_dict(self) -> dict[str, Any]:
        """Everything that an exact resume needs: tensors and plain values."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "objective": self.objective.state_dict(),
            "first_loss": self.first_loss,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, under the same options."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.objective.load_state_dict(state["objective"])
        self.first_loss = state["first_loss"]
