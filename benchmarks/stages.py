"""One table of what each stage of a finished run cost, from Snakemake's benchmark files and the shards themselves.

    python benchmarks/stages.py [results]

Columns: jobs; wall seconds summed over jobs, start-up included; processor seconds; items (frames, clips, ...) and items
a second of wall time; x real time (seconds of video for each second of wall time of one job); peak memory of any job.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from mcn.layout import Dataset
from mcn.shards import FeatureStore

STAGES = {  # stage: (feature whose rows are its items, what an item is)
    "decode_frames": ("resnext101", "16-frame clips"),
    "decode_audio": ("logmel", "10 ms columns"),
    "resnet152": ("resnet152", "frames"),
    "resnext101": ("resnext101", "16-frame clips"),
    "logmel": ("logmel", "10 ms columns"),
    "davenet": ("davenet", "160 ms columns"),
}


def usage(files: list[Path]) -> dict[str, float]:
    """Sums over jobs of wall (s) and processor seconds (cpu_time), and the largest memory in MiB (max_rss)."""
    table = pd.concat([pd.read_csv(file, sep="\t", na_values="-") for file in files])
    return {
        "jobs": len(table),
        "wall s": table.s.sum(),
        "cpu s": table.cpu_time.sum(),
        "peak MiB": table.max_rss.max(),
    }


def items(dataset: Dataset, feature: str) -> tuple[int, float]:
    """Rows and seconds of one feature of a data set, over its usable videos."""
    store = FeatureStore(dataset.features(feature))
    sequences = [s for s in store.values() if s.values is not None]
    return (
        sum(len(s.values) for s in sequences),
        sum(len(s.values) * s.step_seconds for s in sequences),
    )


def stage_row(results: Path, stage: str) -> dict[str, object] | None:
    feature, unit = STAGES[stage]
    files = sorted((results / "benchmarks").glob(f"*/{stage}/*.tsv"))
    if not files:
        return None
    row: dict[str, object] = {"stage": stage, **usage(files)}
    count, seconds = 0, 0.0
    for dataset in sorted({file.parent.parent.name for file in files}):
        rows, length = items(Dataset.at(results / dataset), feature)
        count, seconds = count + rows, seconds + length
    wall = float(str(row["wall s"]))
    return {
        **row,
        "items": count,
        "unit": unit,
        "items/s": count / wall,
        "x real time": seconds / wall,
    }


def main() -> None:
    results = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
    rows = [row for stage in STAGES if (row := stage_row(results, stage))]
    for file in [
        results / "benchmarks/demo.tsv",
        *sorted((results / "benchmarks/train").glob("*.tsv")),
    ]:
        if file.exists():
            name = file.stem if file.parent.name == "benchmarks" else f"train {file.stem}"
            rows.append({"stage": name, **usage([file])})
    table = pd.DataFrame(rows).round(1)
    print(table.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.1f}"))


if __name__ == "__main__":
    main()
