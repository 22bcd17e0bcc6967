"""Several processes that train one model: each embeds its share of a step, all see the whole step's loss.

Conventions
-----------
- Every process draws the same clips, in the same order whatever their number, and reads those of its share of the
  videos. Each runs the network on them; the vectors are gathered; then every process computes the same loss,
  clustering included, on all of them. Losses, queue and centroids are therefore those of one process with the whole
  batch.
- Gradients: gathering hands back a process's own rows times the number of processes, and PyTorch's
  DistributedDataParallel averages all gradients; so rows count once, and a head that sees all rows counts once too.
  Gathering is our own: PyTorch's with gradients would send the gradient of all rows, which every process has, and
  wants as many rows of each process.
- Batch norms take their statistics over all processes, as one process would: PyTorch's SyncBatchNorm on GPUs. That one
  refuses tensors of a processor, where `SharedBatchNorm2d` does the same.
- Shares may differ by a video. Only the first process writes.
- `torchrun` says who a process is, in the environment: RANK, WORLD_SIZE, LOCAL_RANK. On several nodes the job's own
  shell runs on the first; srun starts one torchrun a node, and its environment names the first node, where the
  processes meet. The port comes from the job's number, so that two jobs on a node do not clash.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")
FIRST_PORT, PORTS = 20_000, 10_000  # below 32768, where the ephemeral ports of Linux begin
TIMEOUT = timedelta(hours=2)  # the others wait while the first scores, writes and reads


@dataclass(frozen=True)
class Processes:
    """This process among `count`; alone by default."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def rows(self, videos: int, clips_per_video: int, rank: int | None = None) -> slice:
        """The clips of a process's videos: videos are dealt out evenly, the first processes taking one more."""
        number = self.rank if rank is None else rank
        least, more = divmod(videos, self.count)
        first = number * least + min(number, more)
        return slice(first * clips_per_video, (first + least + (number < more)) * clips_per_video)

    def gather(
        self, views: Mapping[str, Tensor], videos: int, clips_per_video: int
    ) -> dict[str, Tensor]:
        """Name -> rows of this process, (n, ...) each, to name -> rows of all, (N, ...), in the batch's order."""
        if self.count == 1:
            return dict(views)
        shares = [self.rows(videos, clips_per_video, rank) for rank in range(self.count)]
        sizes = [share.stop - share.start for share in shares]
        return {name: _Gather.apply(view, self.rank, sizes) for name, view in views.items()}

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            dist.barrier()

    def in_turn(self, call: Callable[[], T]) -> T:
        """What `call` gives, run by the first process and then, when it is done, by the others."""
        if self.first:
            result = call()
            self.wait()
        else:
            self.wait()
            result = call()
        self.wait()
        return result

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.count == 1:
            return flag
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        flags = torch.tensor(flag, dtype=torch.int32, device=device)
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags)


ALONE = Processes()


class _Gather(torch.autograd.Function):
    """(n, ...) of every process -> (N, ...); sizes: rows of each."""

    @staticmethod
    def forward(ctx, rows: Tensor, rank: int, sizes: list[int]) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.rank, ctx.sizes = rank, sizes
        padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(found, padded)
        return torch.cat([part[:size] for part, size in zip(found, sizes, strict=True)])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[no-untyped-def]
        first = sum(ctx.sizes[: ctx.rank])
        own = gradient[first : first + ctx.sizes[ctx.rank]]
        return own * len(ctx.sizes), None, None


class SharedBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose training statistics are those of all processes' rows; on processors."""

    def forward(self, values: Tensor) -> Tensor:
        """(n, C, H, W) -> the same shape."""
        if not self.training:
            return super().forward(values)
        wide = values.float()
        count = torch.tensor(float(values.numel() // values.shape[1]), device=values.device)
        count = all_reduce(count)
        mean = all_reduce(wide.sum(dim=(0, 2, 3))) / count
        centred = wide - mean.view(1, -1, 1, 1)
        variance = all_reduce(centred.square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            self._follow(mean, variance * count / (count - 1))
        scaled = centred * torch.rsqrt(variance + self.eps).view(1, -1, 1, 1)
        return (scaled * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(
            values.dtype
        )

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


N = TypeVar("N", bound=nn.Module)


def share_batch_norms(network: N, device: torch.device) -> N:
    """The network with every `nn.BatchNorm2d` taking its statistics over all processes; rows and names stay."""
    if device.type == "cuda":
        shared: N = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return shared
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d
    return network


class _Call(nn.Module):
    """A function of inputs as the forward pass of the modules that it calls."""

    def __init__(self, function: Callable[[Any], dict[str, Tensor]], *modules: nn.Module) -> None:
        super().__init__()
        self.called, self._function = nn.ModuleList(modules), function

    def forward(self, inputs: Any) -> dict[str, Tensor]:
        return self._function(inputs)


def averaging(
    function: Callable[[Any], dict[str, Tensor]], *modules: nn.Module
) -> Callable[[Any], dict[str, Tensor]]:
    """`function`, which calls the modules, such that gradients of what it gives are means over the processes.

    They are sent while the backward pass goes on. An objective may leave parts of a network without gradient.
    """
    return DistributedDataParallel(
        _Call(function, *modules),
        find_unused_parameters=True,
        gradient_as_bucket_view=True,
    )


def local_device(device: str) -> str:
    """The device of this process: where torchrun started several and CUDA is meant, the GPU of its number."""
    number = os.environ.get("LOCAL_RANK")
    if number is None or device not in ("auto", "cuda") or not torch.cuda.is_available():
        return device
    return f"cuda:{number}"


def local_threads(threads: int) -> int:
    """Processor threads of this process: its share of those of the node (0: of the cores that it may use)."""
    neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if neighbours == 1:
        return threads
    return max(1, (threads or len(os.sched_getaffinity(0))) // neighbours)


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """This process among those that torchrun started, connected while the context lasts; alone without torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo", timeout=TIMEOUT)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def launch_command(nodes: int, processes: int, arguments: Sequence[str]) -> list[str]:
    """What runs `mcn` with `arguments` in `processes` processes on each of `nodes` nodes."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    target = ["-m", "mcn", *arguments]
    if nodes == 1:
        return [*torchrun, "--standalone", *target]
    port = f"$(({FIRST_PORT} + SLURM_JOB_ID % {PORTS}))"
    meeting = f'--rdzv-id=$SLURM_JOB_ID --rdzv-backend=c10d --rdzv-endpoint="$SLURM_LAUNCH_NODE_IPADDR:{port}"'
    script = f"exec {shlex.join([*torchrun, f'--nnodes={nodes}'])} {meeting} {shlex.join(target)}"
    srun = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    return [*srun, "bash", "-c", script]


def spread(nodes: int, processes: int) -> None:
    """Replace this process by `nodes` x `processes` processes that run the same command; return where there is one.

    Each of those processes finds WORLD_SIZE in its environment and goes on.
    """
    if nodes * processes == 1 or "WORLD_SIZE" in os.environ:
        return
    words = launch_command(nodes, processes, sys.argv[1:])
    os.execvp(words[0], words)
