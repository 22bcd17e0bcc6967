"""Rows of `python -m benchmarks` that say what several processes cost that share a step: work done, not time.

Processor seconds of all processes together, between a barrier and the next; a process that waits for another through
gloo costs none. One process of the same kind is the measure: what several cost more is what sharing adds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from benchmarks import gpu_training
from benchmarks.given import Given, costs
from benchmarks.gpu_sizes import WHOLE, Sizes
from benchmarks.measuring import Figure, cpu_seconds
from mcn.distributed import Processes
from mcn.features.runtime import Runtime
from mcn.options.training import ExperimentOptions
from mcn.training.train import build_trainer

CLIPS, VIDEOS, STEPS = 16, 8, 4
COUNTS = (1, 2, 4)
SIZES = WHOLE._replace(width=1024, clusters=8)


def processes(given: Given) -> list[Figure]:
    """A step of MCN by one, two and four processes."""
    taken = {count: seconds_of(count, given.folder, SIZES) for count in COUNTS}
    one, figures = median(taken[1]), []
    for count, found in taken.items():
        note = "" if count == 1 else f"efficiency {100 * one / median(found):.0f} %"
        what = f"step of {CLIPS} clips, d {SIZES.width}, fp32, processes: {count}"
        figures.append(costs(what, "cpu-s", found, note=note))
    return figures


def seconds_of(count: int, folder: Path, sizes: Sizes) -> list[float]:
    """Processor seconds of each step but the first, of all processes together."""
    with tempfile.TemporaryDirectory(dir=folder) as results:
        arguments = (count, results, sizes)
        multiprocessing.spawn(_work, arguments, nprocs=count)
        parts = [torch.load(f"{results}/{rank}.pt") for rank in range(count)]
    return [sum(step) for step in zip(*parts, strict=True)][1:]


def _work(rank: int, count: int, results: str, sizes: Sizes) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{results}/meeting"
    dist.init_process_group("gloo", meeting, rank=rank, world_size=count)
    here = Processes(rank, count)
    options = ExperimentOptions.model_validate(
        {
            "model": {"embedding_width": sizes.width, "davenet_widths": sizes.davenet},
            "objective": {"kind": "mcn", "clusters": sizes.clusters},
            "training": {"videos_per_batch": VIDEOS, "clips_per_video": CLIPS // VIDEOS},
        }
    )
    data: Any = gpu_training.MadeSet(VIDEOS)
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(gpu_training.WORDS, gpu_training.WORD_WIDTH, generator=generator)
    place = Runtime(torch.device("cpu"), "fp32", 1)
    trainer = build_trainer(data, vectors, options, place, here)
    trainer.objective.start_epoch()
    batch = gpu_training.made_batch(CLIPS, options.training.audio_frames if sizes.steps > 2 else 64)
    taken = []
    for step in range(STEPS):
        dist.barrier()
        began = cpu_seconds()
        trainer.step(batch, step)
        dist.barrier()
        taken.append(cpu_seconds() - began)
    torch.save(taken, f"{results}/{rank}.pt")
    dist.destroy_process_group()
