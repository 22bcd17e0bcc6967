"""What each stage of a finished run cost, job by job: the table that predictions are made from.

Conventions
-----------
- One row a job: stage; device (`cpu` or `cuda`); media_seconds: length of the usable videos of the job's shard, s;
  wall_seconds, cpu_seconds: of the job, start-up included; peak_mib: resident memory; output_bytes: of what it wrote.
- Sources: Snakemake's benchmark files (`s`, `cpu_time`, `max_rss`) and the shards themselves.
  Decoded shards that were temporary count as 0 bytes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from mcn.config.configuration import Configuration
from mcn.errors import UserError
from mcn.files import write_text
from mcn.layout import Dataset
from mcn.shards import FeatureStore, ShardReader


@dataclass(frozen=True)
class Stage:
    """A rule that leaves benchmark files: the feature whose rows tell the length of its videos, and what it writes.

    feature: '' of `transcribe`, whose account tells the length.
    """

    name: str
    feature: str
    folders: tuple[str, ...]


def stages(settings: Configuration) -> list[Stage]:
    """Every stage that decodes, or computes a feature of frames or sound, decoding first."""
    rows = {name: row for name, row in settings.features.items() if row.kind != "text"}
    found = []
    for name, streams in settings.decode_passes().items():
        readers = [feature for feature, row in rows.items() if row.stream in streams]
        folders = tuple(stream.folder for stream in streams)
        used = [one for one in readers if one in settings.used_features()]
        found.append(Stage(f"decode_{name}", (used or readers)[-1], folders))
    found += [Stage("transcribe", "", ("speech", "speech_account"))]
    return found + [Stage(name, name, (f"features/{name}",)) for name in rows]


@dataclass(frozen=True)
class JobCost:
    """One job of one stage; the module's docstring has the units."""

    stage: str
    device: str
    media_seconds: float
    wall_seconds: float
    cpu_seconds: float
    peak_mib: float
    output_bytes: int


def measure(results: Path, settings: Configuration) -> list[JobCost]:
    """Every job of `results` that left a benchmark file, stage by stage."""
    costs = []
    for stage in stages(settings):
        for file in sorted((results / "benchmarks").glob(f"*/{stage.name}/*.tsv")):
            dataset = Dataset.at(results / file.parent.parent.name)
            costs.append(_job(stage, file, dataset))
    return costs


def write_costs(path: Path, costs: list[JobCost]) -> None:
    """Write the table as CSV."""
    write_text(path, pd.DataFrame([asdict(cost) for cost in costs]).round(3).to_csv(index=False))


def read_costs(path: Path) -> list[JobCost]:
    """Read the table. Errors: `UserError` where it is missing, empty or no such table."""
    columns = [field.name for field in fields(JobCost)]
    cure = f"make it from a finished run: python benchmarks/stages.py results --output {path}"
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}", "a table of what stages cost", cure) from error
    if list(table.columns) != columns or table.empty:
        raise UserError(f"{path}: columns {list(table.columns)}", f"rows of {columns}", cure)
    return [JobCost(**row) for row in table.to_dict("records")]  # type: ignore[arg-type]


def _job(stage: Stage, file: Path, dataset: Dataset) -> JobCost:
    row = pd.read_csv(file, sep="\t", na_values="-").iloc[-1]
    shard = f"{file.stem}.parquet"
    path = dataset.root / (f"features/{stage.feature}" if stage.feature else "speech_account")
    written = [dataset.root / folder / shard for folder in stage.folders]
    recipe = ShardReader(path / shard).recipe if stage.name == stage.feature else {}
    device = str(recipe.get("device", "cpu"))
    return JobCost(
        stage.name,
        "cuda" if device.startswith("cuda") else "cpu",
        _media_seconds(path / shard),
        float(row.s),
        float(row.cpu_time),
        float(row.max_rss),
        sum(path.stat().st_size for path in written if path.exists()),
    )


def _media_seconds(shard: Path) -> float:
    """Length of the usable videos of a feature shard, or of an account of `transcribe`."""
    reader = ShardReader(shard)
    if reader.kind == "speech":
        return float(sum(seconds or 0.0 for seconds in reader.column("seconds")))
    sequences = FeatureStore([shard]).values()
    return sum(len(one.values) * one.step_seconds for one in sequences if one.values is not None)
