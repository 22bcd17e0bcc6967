"""What each stage of a finished run cost, from Snakemake's benchmark files and the shards themselves.

    python benchmarks/stages.py [results] [--output results/benchmarks/stages.csv]

Prints a row a stage: jobs; wall and processor seconds summed over jobs, start-up included; x real time (seconds of
video for each second of wall time of one job); items a second, at the published rates; peak memory of any job; bytes
written for each second of video. `--output` writes the jobs one by one, for `mcn estimate --benchmarks`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import yaml

from mcn.config.configuration import configure
from mcn.upkeep.costs import JobCost, measure, write_costs

# Items for each second of video, and what they are: 1 and 24 frames, chunks of 16 frames, 10 ms and 160 ms of sound
ITEMS = {
    "decode_frames": (25.0, "frames"),
    "decode_audio": (16_000.0, "samples"),
    "resnet152": (1.0, "frames"),
    "resnext101": (1.5, "clips"),
    "logmel": (100.0, "columns"),
    "davenet": (6.25, "vectors"),
}


def summary(costs: list[JobCost], results: Path) -> pd.DataFrame:
    """A row a stage, and one for everything else that has a benchmark file."""
    table = pd.DataFrame(costs)
    rows = []
    for stage, jobs in table.groupby("stage", sort=False):
        wall, media = jobs.wall_seconds.sum(), jobs.media_seconds.sum()
        rate, unit = ITEMS.get(str(stage), (1.0, "seconds"))
        rows.append(
            {
                "stage": f"{stage} ({jobs.device.iloc[0]})",
                "jobs": len(jobs),
                "wall s": wall,
                "cpu s": jobs.cpu_seconds.sum(),
                "x real time": media / wall,
                "items/s": rate * media / wall,
                "item": unit,
                "peak MiB": jobs.peak_mib.max(),
                "bytes/s": jobs.output_bytes.sum() / media,
            }
        )
    for file in sorted(
        [*results.glob("benchmarks/*.tsv"), *results.glob("benchmarks/train/*.tsv")]
    ):
        row = pd.read_csv(file, sep="\t", na_values="-").iloc[-1]
        name = file.stem if file.parent.name == "benchmarks" else f"train {file.stem}"
        peak = {"peak MiB": row.max_rss}
        rows.append({"stage": name, "jobs": 1, "wall s": row.s, "cpu s": row.cpu_time, **peak})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))
    parser.add_argument("--output", type=Path, help="CSV, a row a job")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="of the run")
    arguments = parser.parse_args()
    settings = configure(yaml.safe_load(arguments.config.read_text()))
    costs = measure(arguments.results, settings)
    if arguments.output:
        write_costs(arguments.output, costs)
    table = summary(costs, arguments.results)
    print(table.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.1f}"))


if __name__ == "__main__":
    main()
