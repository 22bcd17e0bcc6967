"""Batches read ahead of training, in a thread or in worker processes, always in the order of the steps.

Conventions
-----------
- A batch depends on its step alone (`mcn.training.data.batches`), so neither the number of workers nor the step that
  reading starts at changes what a step sees.
- No global random state is touched, and an interrupt from the keyboard is left to the main process.
"""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Generator

import torch
from torch.utils.data import DataLoader, Dataset

from mcn.training.data.batches import TrainingSet
from mcn.training.data.collation import Batch

POLL_SECONDS = 0.1  # how soon the reading thread notices that nobody wants more


class StepBatches(Dataset[Batch]):
    """Item i is the batch of step `first + i` of the whole run, up to step `total`."""

    def __init__(self, training_set: TrainingSet, first: int, total: int) -> None:
        self.training_set, self.first, self.total = training_set, first, total

    def __len__(self) -> int:
        return self.total - self.first

    def __getitem__(self, index: int) -> Batch:
        return self.training_set.batch(
            *divmod(self.first + index, self.training_set.steps_per_epoch)
        )


def batches(
    training_set: TrainingSet, first: int, total: int, workers: int, ahead: int, pin: bool
) -> Generator[Batch, None, None]:
    """Batches of steps first .. total - 1, `ahead` of them kept ready by `workers` processes (0: by a thread)."""
    steps = StepBatches(training_set, first, total)
    if not workers:
        yield from _read_in_thread(steps, ahead, pin)
        return
    yield from DataLoader(
        steps,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=-(-ahead // workers),
        pin_memory=pin,
        worker_init_fn=_ignore_interrupts,
        multiprocessing_context="fork",  # narration and maps are shared, not copied
        generator=torch.Generator().manual_seed(0),  # the loader draws its workers' seeds from it
    )


def _ignore_interrupts(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _read_in_thread(steps: StepBatches, ahead: int, pin: bool) -> Generator[Batch, None, None]:
    """Batches from one reading thread; its errors are raised here, and it ends when the iterator is closed."""
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=ahead)
    closed = threading.Event()

    def put(item: Batch | BaseException | None) -> None:
        while not closed.is_set():
            try:
                return ready.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue

    def read() -> None:
        try:
            for index in range(len(steps)):
                if closed.is_set():
                    return
                put(steps[index].pin_memory() if pin else steps[index])
            put(None)
        except BaseException as error:
            put(error)

    reader = threading.Thread(target=read, name="batch reader", daemon=True)
    reader.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        reader.join()
