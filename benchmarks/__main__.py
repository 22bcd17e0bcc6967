"""Every figure of docs/performance.md that a processor can give, in one table and one JSON file.

    python -m benchmarks [--videos FOLDER] [--whole] [--only decoding,feed,...] [--output results/benchmarks/cpu.json]

Processor seconds, which other programs hardly change; ours and a plain formulation of the same work in turn, medians of
three. `--videos` names real files for the row of decoding. Without `--whole` the sizes are those of minutes, not of an
hour; what a row was measured on stands in its name. What needs a GPU: python benchmarks/gpu.py; what planning costs:
benchmarks/planning.py; the demo: scripts/demo.sh.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.measuring import Figure, machine, table, write
from benchmarks.rows import ROWS, Given, made_videos


def main(arguments: list[str] | None = None) -> list[Figure]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=Path, help="folder of video files that are decoded")
    parser.add_argument("--whole", action="store_true", help="the sizes of the published work")
    parser.add_argument("--only", default=",".join(row.__name__ for row in ROWS))
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/cpu.json"))
    given = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    about = {**machine(), "threads": torch.get_num_threads(), "torch": str(torch.__version__)}
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        videos = sorted(given.videos.iterdir()) if given.videos else made_videos(Path(folder), 10)
        for row in ROWS:
            if row.__name__ in given.only.split(","):
                began = time.perf_counter()
                figures += row(Given(Path(folder), videos, given.whole))
                write(given.output, about, figures)
                print(f"{row.__name__}: {time.perf_counter() - began:.0f} s", flush=True)
    print(about, table(figures), sep="\n")
    return figures


if __name__ == "__main__":
    main()
