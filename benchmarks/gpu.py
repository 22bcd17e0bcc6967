"""What a GPU makes of this project: feed, extraction, training step, k-means, retrieval, memory.

    python benchmarks/gpu.py [--device cuda] [--output gpu.json] [--minutes 9] [--only feed,extraction,...] [--tiny]

Everything is made here, from seeds: frames that look like videos, random weights, random features. Beside ours runs a
plain PyTorch formulation of the same work on the same card in the same run: batches of 64 in float32 from pageable
memory, Adam as it comes, k-means with one-hot products. Needs torch, timm, pyarrow and what the package itself imports
(pydantic, PyYAML, safetensors, tqdm); no PyAV, no Snakemake. `--tiny` runs everything in seconds on a processor.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks.gpu_extraction import extraction, feed, variants
from benchmarks.gpu_sizes import SMALL, WHOLE, Sizes
from benchmarks.gpu_training import clustering, retrieval, step_variants, steps
from benchmarks.measuring import Figure, machine, table, write

SECTIONS: dict[str, Callable[[torch.device, Sizes], list[Figure]]] = {
    "card": lambda device, sizes: card(device, sizes),
    "feed": feed,
    "clustering": clustering,
    "retrieval": retrieval,
    "extraction": extraction,
    "steps": steps,
    "variants": variants,
    "step_variants": step_variants,
}


def card(device: torch.device, sizes: Sizes) -> list[Figure]:
    """What the device itself reaches: a copy and a matrix product."""
    side = sizes.matrix
    figures = []
    for precision, kind in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        left, right = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
        seconds = best_of(partial(torch.matmul, left, right), device)
        figures.append(
            Figure(f"matrix product {side}, {precision}", "TFLOP/s", 2e-12 * side**3 / seconds)
        )
    whole = torch.empty(sizes.matrix**2 * 4, dtype=torch.uint8, device=device)
    other = torch.empty_like(whole)
    seconds = best_of(lambda: other.copy_(whole), device)
    figures.append(
        Figure("copy on the device, read and written", "GB/s", 2e-9 * len(whole) / seconds)
    )
    return figures


def best_of(work: Callable[[], object], device: torch.device, rounds: int = 5) -> float:
    """The fewest seconds of a work."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - began)
    return min(taken)


def main(arguments: list[str] | None = None) -> list[Figure]:
    """Run the sections that time allows; print one table, write one file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path, default=Path("gpu.json"))
    parser.add_argument("--minutes", type=float, default=9.0, help="begin no section after that")
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args(arguments)
    device, sizes = torch.device(given.device), SMALL if given.tiny else WHOLE
    about = {**machine(), "device": str(device), "torch": str(torch.__version__)}
    if device.type == "cuda":
        about["device"] = torch.cuda.get_device_name(device)
    began, figures = time.perf_counter(), []
    for name in given.only.split(","):
        if time.perf_counter() - began > 60 * given.minutes:
            print(f"{name}: no time left")
            continue
        start = time.perf_counter()
        try:
            found = SECTIONS[name](device, sizes)
        except Exception:  # the other sections are measured all the same
            if given.tiny:
                raise
            traceback.print_exc()
            found = []
        figures += found
        write(given.output, about, figures)
        print(f"[{name}: {time.perf_counter() - start:.0f} s]", table(found), sep="\n", flush=True)
    print(about, table(figures), sep="\n")
    return figures


if __name__ == "__main__":
    main()
