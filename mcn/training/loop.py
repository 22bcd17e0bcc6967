"""The loop over steps: what is logged, scored and saved, and when.

Conventions
-----------
- After a step comes, in this order: the line of its interval, the line of its epoch with early scores, the model of
  its epoch where it is kept, the checkpoint. A checkpoint therefore knows every line up to its
  step, and means that span it are part of it.
- Of several processes all take every step; the first alone logs, scores and saves.
- Steps and epochs in lines and checkpoints are counted as done; inside a step both count from 0.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from tqdm import tqdm

from mcn.networks import EmbeddingNetwork
from mcn.options.objectives import MODALITIES
from mcn.training.batches import Batch
from mcn.training.data import TrainingSet, read_batches
from mcn.training.state import RunState, TrainingLog, random_state, restore_random_state
from mcn.training.step import StepReport, Trainer

logger = logging.getLogger(__name__)

# a network in eval mode -> pair of modalities -> name -> score
EarlyScores = Callable[[EmbeddingNetwork], Mapping[str, Mapping[str, float]]]


class StopRequest:
    """Set by a signal; the loop looks at it after every step."""

    signal: int | None = None


class Means:
    """Means of named values over steps; what it holds can be saved."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0

    def add(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def take(self) -> dict[str, float]:
        """The means so far; starts anew."""
        means = {name: value / self.count for name, value in self.sums.items()}
        self.sums, self.count = {}, 0
        return means


class Loop:
    """Runs `trainer` over `data` from where `state` stands to step `total`.

    keep_epoch: told the number of every epoch that is kept, after it is done. before_use: called before a network is
    scored or kept.
    """

    def __init__(
        self,
        data: TrainingSet,
        trainer: Trainer,
        state: RunState,
        early_scores: EarlyScores | None,
        stop: StopRequest,
        keep_epoch: Callable[[int], None] | None = None,
        before_use: Callable[[], None] = lambda: None,
    ) -> None:
        self.data, self.trainer, self.state = data, trainer, state
        self.options, self.early_scores, self.stop = data.options, early_scores, stop
        self.keep_epoch, self.before_use = keep_epoch, before_use
        self.interval, self.epoch_means = Means(), Means()
        self.processes = trainer.processes
        self.step, lines, self.saved_step = 0, "", 0
        saved = self.processes.in_turn(state.latest)
        if saved is not None:
            self.step, lines = int(saved["step"]), str(saved["metrics"])
            self.saved_step = self.step
            self._restore(saved)
        self.log = TrainingLog(state.directory, lines, self.step) if self.first else None

    @property
    def first(self) -> bool:
        """Whether this process logs, scores and saves."""
        return self.processes.first

    def run(self) -> bool:
        """Train until the last step or until asked to stop; True where it is the last. Always leaves a checkpoint."""
        total, per_epoch = self.trainer.total, self.data.steps_per_epoch
        pin = self.trainer.device.type == "cuda"
        reader = read_batches(self.data, self.step, total, pin, self.processes)
        hidden = None if self.first else True  # None: hidden where there is no terminal
        bar = tqdm(total=total, initial=self.step, unit="step", disable=hidden)
        with contextlib.ExitStack() as stack:
            stack.enter_context(bar)
            stack.callback(reader.close)
            if self.log:
                stack.callback(self.log.close)
            while self.step < total and not self._stopping():
                if self.step % per_epoch == 0:
                    self.trainer.objective.start_epoch()
                began = time.perf_counter()
                batch = next(reader)
                waited = time.perf_counter() - began
                report = self.trainer.step(batch, self.step)
                self._note(report, batch, waited, time.perf_counter() - began)
                self.step += 1
                bar.update()
                self._after_step(report)
            if self.saved_step != self.step:  # asked to stop after the last look
                self._save()
            self.state.finish()
        return self.step == total

    def _stopping(self) -> bool:
        """Whether any process was asked to stop: all stop after the same step."""
        return self.processes.any(self.stop.signal is not None)

    def _note(self, report: StepReport, batch: Batch, waited: float, seconds: float) -> None:
        losses = {f"loss/{name}": value for name, value in report.losses.items()}
        clips = len(batch.words)
        book = {
            "data/redrawn_share": batch.redrawn / (clips + batch.redrawn),
            **self._lacking(batch),
            "time/step_seconds": seconds,
            "time/loader_wait_share": waited / seconds,
            "time/clips_per_second": clips / seconds,
        }
        self.interval.add({**losses, **book})
        self.epoch_means.add({f"epoch_{name}": value for name, value in losses.items()})

    def _lacking(self, batch: Batch) -> dict[str, float]:
        """Share of the clips that lack each modality, where the policy lets such clips in."""
        if self.options.empty_clips == "redraw":
            return {}
        shares = 1 - batch.present.double().mean(dim=0)
        needed = self.trainer.objective.modalities
        return {
            f"data/without_{name}_share": share
            for name, share in zip(MODALITIES, shares.tolist(), strict=True)
            if name in needed
        }

    def _after_step(self, report: StepReport) -> None:
        done, total, options = self.step, self.trainer.total, self.options
        epoch, inside = divmod(done, self.data.steps_per_epoch)
        last = done == total
        if done % options.log_every_steps == 0 or last:
            self._write_interval(report)
        if inside == 0:
            self._write_epoch(epoch, last)
            if self.keep_epoch and self.first and epoch % (self.options.keep_epochs or 1) == 0:
                self.before_use()
                self.keep_epoch(epoch)
        if done % options.checkpoint_every_steps == 0 or last:
            self._save()

    def _write_interval(self, report: StepReport) -> None:
        if self.log is None:
            return
        values: dict[str, float | None] = {
            **self.interval.take(),
            "lr": report.learning_rate,
            "gradient_norm": report.gradient_norm,
        }
        health = self.trainer.objective.health
        if health is not None:
            values |= {f"clusters/{name}": value for name, value in health._asdict().items()}
        self.log.write(self.step, self._epochs_begun(), values)

    def _write_epoch(self, epoch: int, last: bool) -> None:
        if self.log is None:
            return
        values = self.epoch_means.take()
        if self.early_scores and (epoch % self.options.early_every_epochs == 0 or last):
            values |= self._early_values()
        self.log.write(self.step, epoch, values)
        words = ", ".join(f"{name.partition('/')[2]} {value:.4g}" for name, value in values.items())
        logger.info("epoch %d, step %d of %d: %s", epoch, self.step, self.trainer.total, words)

    def _early_values(self) -> dict[str, float]:
        """Zero-shot scores of the network as it is; training goes on as if nothing had been."""
        assert self.early_scores is not None
        self.before_use()
        network, before = self.trainer.network, random_state()
        network.eval()
        try:
            with torch.no_grad():
                found = self.early_scores(network)
        finally:
            self.trainer.training_mode()
            restore_random_state(before)
        return {
            f"early/{pair}/{name}": float(score)
            for pair, scores in found.items()
            for name, score in scores.items()
        }

    def _epochs_begun(self) -> int:
        return -(-self.step // self.data.steps_per_epoch)

    def _save(self) -> None:
        self.saved_step = self.step
        if self.log is None:
            return
        state = {
            "step": self.step,
            "metrics": self.log.text,
            "trainer": self.trainer.state_dict(),
            "random": random_state(),
            "interval": vars(self.interval),
            "epoch_means": vars(self.epoch_means),
        }
        self.state.save(self.step, state, waits=self.trainer.device.type == "cpu")

    def _restore(self, saved: dict[str, Any]) -> None:
        self.trainer.load_state_dict(saved["trainer"])
        restore_random_state(saved["random"])
        vars(self.interval).update(saved["interval"])
        vars(self.epoch_means).update(saved["epoch_means"])
