"""Where a network runs and how exactly: device, precision, threads, and arithmetic that repeats itself.

Conventions
-----------
- fp32 is the reference: on CUDA without TF32. tf32 is the same but that products on CUDA keep 10 bits of their factors.
  bf16 and fp16 cast the folded network and its input; pooling, normalisation and storage follow in float32 and float16.
- Half precision is never used on a CPU: it has no arithmetic for it and is 200 times slower than bf16.
- On one machine equal inputs give equal bytes: deterministic cuDNN algorithms, no autotuning. `repeatable: false` gives
  that up on CUDA: cuDNN times its algorithms, and networks of frames are compiled.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mcn.errors import UserError
from mcn.options.features import RuntimeOptions

DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
BF16_FLAGS = {"avx512_bf16", "amx_bf16"}  # of /proc/cpuinfo


@dataclass(frozen=True)
class Runtime:
    """A resolved choice: `precision` is fp32, tf32, bf16 or fp16; `threads` of the processor."""

    device: torch.device
    precision: str
    threads: int
    batch_size: int | None = None
    repeatable: bool = True

    @property
    def tuned(self) -> bool:
        """Whether the last bits may vary for the sake of speed."""
        return self.device.type == "cuda" and not self.repeatable

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.precision]

    @property
    def workers(self) -> int:
        """Batches computed side by side: on a CPU one on each thread, on CUDA one."""
        return self.threads if self.device.type == "cpu" else 1

    def batch(self, on_cpu: int, on_cuda: int) -> int:
        """Items a forward pass: the configured number, else what suits the device."""
        return self.batch_size or (on_cuda if self.device.type == "cuda" else on_cpu)

    @property
    def recipe(self) -> dict[str, Any]:
        """What changes the last bits of the numbers."""
        kind = self.device.type
        name = torch.cuda.get_device_name(self.device) if kind == "cuda" else ""
        tuned = {"repeatable": False} if self.tuned else {}
        return {"device": name or kind, "precision": self.precision, **tuned}


def resolve(options: RuntimeOptions, threads: int = 0) -> Runtime:
    """The runtime that `options` ask for; `threads` 0: PyTorch's choice.

    Errors: `UserError` for a device that is not there or a precision that it cannot compute.
    """
    device = _device(options.device)
    precision = _precision(options.precision, device)
    threads = threads or torch.get_num_threads()
    return Runtime(device, precision, threads, options.batch_size, options.repeatable)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    count = torch.cuda.device_count() if device.type == "cuda" else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        wanted = "a device there is: cpu" + "".join(f", cuda:{index}" for index in range(count))
        raise UserError(f"device {name}; PyTorch sees {count} GPUs", wanted, "set device to auto")
    return device


def _precision(name: str, device: torch.device) -> str:
    on_cuda = device.type == "cuda"
    fast = torch.cuda.is_bf16_supported(including_emulation=False) if on_cuda else _cpu_has_bf16()
    if name == "auto":
        return ("bf16" if fast else "fp16") if on_cuda else "fp32"
    if name == "tf32" and not on_cuda:
        return "fp32"
    if name == "native_bf16":
        return "bf16" if fast else "fp32"
    if name == "fp16" and not on_cuda:
        cure = "set precision to auto, or to native_bf16 where the processor is fast at it"
        raise UserError("precision fp16 on a CPU", "fp32 or bf16", cure)
    return name


@functools.cache
def _cpu_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies bf16 in hardware."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not BF16_FLAGS.isdisjoint(flags.split())


@contextlib.contextmanager
def repeatable(place: Runtime | None = None) -> Iterator[None]:
    """Arithmetic of which equal runs give equal bytes; restores what was set. Of the whole process, so enter it once.

    Layers are not split over threads (`Runtime.workers` run whole batches instead), cuDNN takes deterministic
    algorithms without autotuning, and fp32 on CUDA is fp32, not TF32. place: may ask for TF32 and for autotuning.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with products(place is not None and place.precision == "tf32", bool(place and place.tuned)):
            yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def products(tf32: bool, tuned: bool) -> Iterator[None]:
    """How float32 is multiplied on CUDA; restores what was set. tuned: cuDNN times its algorithms; else they repeat."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=tuned, deterministic=not tuned, allow_tf32=tf32
        ):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
