"""An extractor of frames around a network, and how workers share a GPU.

Conventions
-----------
- On a processor each worker computes whole batches on one thread (`mcn.features.extraction`).
- On a GPU a few workers take turns, each with a stream and page-locked memory of its own: while one's batch is computed
  the others fill theirs, copy them and fetch vectors, and `threads` threads of the processor decode frames.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcn.features.extraction import Extractor, FrameItems
from mcn.features.runtime import Runtime

log = logging.getLogger(__name__)

# Workers of a GPU: one's batch is computed, one's is filled, one's vectors are on their way
TURNS = 3


def frame_extractor(
    name: str,
    network: Callable[[Tensor], Tensor],
    items: FrameItems,
    runtime: Runtime,
    recipe: dict[str, Any],
    ends_in_relu: bool = True,
) -> Extractor:
    """An extractor of RGB frames; network: uint8 (batch_size, F, H, W, 3) on the device -> (batch_size, D)."""
    cuda = runtime.device.type == "cuda"
    turn = Turn(runtime.device)
    network = Compiled(network) if runtime.tuned else network

    def encode(frames: np.ndarray) -> np.ndarray:
        if cuda:
            return turn.vectors(network, frames)
        return np.asarray(network(torch.from_numpy(frames)).float().numpy())

    whole = {"feature": name, **recipe, "batch_size": items.batch_size, **runtime.recipe}
    workers, readers = (TURNS, runtime.threads) if cuda else (runtime.workers, 1)
    return Extractor(
        name,
        encode,
        workers,
        whole,
        items,
        items.frames,
        ends_in_relu=ends_in_relu,
        readers=readers,
        memory=turn.memory,
        place=runtime,
    )


class Compiled:
    """A function of tensors under torch.compile; as it is, with a warning, where it cannot be compiled."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._plain = function
        self._function: Callable[[Tensor], Tensor] = torch.compile(function)
        self._shapes: set[torch.Size] = set()
        self._lock = threading.Lock()

    def __call__(self, values: Tensor) -> Tensor:
        if values.shape in self._shapes:
            return self._function(values)
        with self._lock:  # one thread compiles
            try:
                found = self._function(values)
            except Exception as error:  # of the compiler, or of the network, which then comes again
                found = self._plain(values)
                log.warning("not compiled: %s", str(error).partition("\n")[0])
                self._function = self._plain
            self._shapes.add(values.shape)
            return found


class Turn(threading.local):
    """What each worker keeps for its batches: memory that is used again, and for a GPU page-locked, and a stream."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._cuda = device, device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if self._cuda else None
        self._frames = torch.empty(0, dtype=torch.uint8)

    def memory(self, size: tuple[int, ...]) -> np.ndarray:
        """Uint8 of a size, in which anything may stand."""
        if self._frames.shape != size:
            self._frames = torch.empty(size, dtype=torch.uint8, pin_memory=self._cuda)
        return np.asarray(self._frames.numpy())

    def vectors(self, network: Callable[[Tensor], Tensor], frames: np.ndarray) -> np.ndarray:
        """What the network on a GPU makes of frames; the processor waits for this worker's stream alone."""
        with torch.cuda.stream(self._stream):
            sent = torch.from_numpy(frames).to(self._device, non_blocking=True)
            vectors = network(sent).float()
            fetched = torch.empty(vectors.shape, pin_memory=True)
            fetched.copy_(vectors, non_blocking=True)
        assert self._stream is not None
        self._stream.synchronize()
        return np.asarray(fetched.numpy())
