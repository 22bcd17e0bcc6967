"""Every figure of docs/performance.md that a processor can give, in one table and one JSON file.

    python -m benchmarks [--videos FOLDER] [--rivals FOLDER] [--whole] [--only decoding,feed,...] [--output FILE]

Processor seconds, which other programs hardly change; ours and others' in turn, medians of three. Others' are the
programs of `--rivals` (benchmarks/rivals.py), and plain formulations of the same work. `--videos` names files that are
decoded and extracted; otherwise two are made. Without `--whole` the sizes are those of minutes, not of an hour; what a
row was measured on stands in its name. A row that fails says so, and the command ends with status 1. What needs a GPU:
python benchmarks/gpu.py; the demo: scripts/demo.sh.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

import torch

from benchmarks.given import Given
from benchmarks.jobs import decoding, extraction, made_videos, memory, planning, starts
from benchmarks.measuring import Figure, machine, table, write
from benchmarks.processes import processes
from benchmarks.rows import clustering, feed, opening, reads, retrieval, steps

ROWS = (
    *(reads, feed, opening, clustering, retrieval, starts, planning, decoding, memory, steps),
    *(processes, extraction),
)


def main(arguments: list[str] | None = None) -> list[Figure]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=Path, help="folder of video files that are decoded")
    parser.add_argument(
        "--rivals",
        type=Path,
        default=os.environ.get("MCN_RIVALS"),
        help="folder of released programs to compare with (benchmarks/rivals.py); default: $MCN_RIVALS",
    )
    parser.add_argument("--whole", action="store_true", help="the sizes of the published work")
    parser.add_argument("--only", default=",".join(row.__name__ for row in ROWS))
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/cpu.json"))
    given = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    names = given.only.split(",")
    unknown = set(names) - {row.__name__ for row in ROWS}
    if unknown:
        parser.error(f"--only: no row {', '.join(sorted(unknown))}")
    about = {**machine(), "threads": torch.get_num_threads(), "torch": str(torch.__version__)}
    figures: list[Figure] = []
    failed: list[str] = []
    rivals = given.rivals.absolute() if given.rivals else None
    with tempfile.TemporaryDirectory() as folder:
        videos = sorted(given.videos.iterdir()) if given.videos else made_videos(Path(folder), 10)
        for row in ROWS:
            if row.__name__ in names:
                began = time.perf_counter()
                try:
                    figures += row(Given(Path(folder), videos, given.whole, rivals))
                except Exception:  # of a rival's program, say: the other rows go on
                    traceback.print_exc()
                    failed.append(row.__name__)
                write(given.output, about, figures)
                print(f"{row.__name__}: {time.perf_counter() - began:.0f} s", flush=True)
    print(about, table(figures), sep="\n")
    if failed:
        sys.exit(f"rows that failed: {', '.join(failed)}")
    return figures


if __name__ == "__main__":
    main()
