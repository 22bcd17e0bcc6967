"""What each stage of a finished run cost, job by job: the table that predictions are made from.

Conventions
-----------
- One row a job: stage; device (`cpu` or `cuda`); media_seconds: length of the usable videos of the job's shard, s;
  wall_seconds, cpu_seconds: of the job, start-up included; peak_mib: resident memory; output_bytes: of what it wrote.
- Cost of an experiment: that of the decoding passes and of the features of frames and sound that its model reads, for
  an hour of video. A pass that several features share counts whole.
- Sources: Snakemake's benchmark files (`s`, `cpu_time`, `max_rss`) and the shards themselves.
  Decoded shards that were temporary count as 0 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mcn.config.configuration import Configuration
from mcn.config.features import with_sources
from mcn.errors import UserError
from mcn.files import write_text
from mcn.layout import Dataset
from mcn.shards import FeatureStore, ShardReader


@dataclass(frozen=True)
class MeasuredStage:
    """A rule that leaves benchmark files: the feature whose rows tell the length of its videos, and what it writes.

    feature: '' of `transcribe`, whose account tells the length.
    """

    name: str
    feature: str
    folders: tuple[str, ...]


def stages(settings: Configuration) -> list[MeasuredStage]:
    """Every stage that decodes, or computes a feature of frames or sound, decoding first."""
    rows = {name: row for name, row in settings.features.items() if row.kind != "text"}
    found = []
    for name, streams in settings.decode_passes().items():
        readers = [feature for feature, row in rows.items() if row.stream in streams]
        folders = tuple(stream.folder for stream in streams)
        used = [one for one in readers if one in settings.used_features()]
        found.append(MeasuredStage(f"decode_{name}", (used or readers)[-1], folders))
    found += [MeasuredStage("transcribe", "", ("speech", "speech_account"))]
    return found + [MeasuredStage(name, name, (f"features/{name}",)) for name in rows]


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


class Cost(NamedTuple):
    """For an hour of video: processor time, wall time on a GPU, feature shards; and the memory of the largest job."""

    cpu_seconds: float
    gpu_seconds: float
    megabytes: float
    peak_mib: float


@dataclass(frozen=True)
class ExperimentCost:
    """An experiment, its kind (`imported` of a published checkpoint), the features that it reads, and their cost.

    cost: None where a feature was not made here.
    """

    experiment: str
    kind: str
    features: str
    cost: Cost | None


def experiment_costs(settings: Configuration, jobs: Sequence[JobCost]) -> list[ExperimentCost]:
    """What the features of every experiment cost, in the order of the configuration."""
    return [
        ExperimentCost(
            name,
            "imported" if one.checkpoint else one.kind,
            " + ".join(one.features.names),
            _cost_of(settings, name, jobs),
        )
        for name, one in settings.experiments.items()
    ]


def _cost_of(settings: Configuration, experiment: str, costs: Sequence[JobCost]) -> Cost | None:
    """What the features of an experiment cost; None where a stage of them was not measured."""
    rows = settings.features
    names = with_sources(rows, settings.experiments[experiment].features.names)
    features = [name for name in names if rows[name].kind != "text"]
    streams = {rows[name].stream for name in features}
    passes = [
        f"decode_{name}"
        for name, decoded in settings.decode_passes().items()
        if streams & set(decoded)
    ]
    total = Cost(0.0, 0.0, 0.0, 0.0)
    for stage in [*passes, *features]:
        jobs = [job for job in costs if job.stage == stage]
        hours = sum(job.media_seconds for job in jobs) / 3600
        if not hours:
            return None
        on_gpu = [job for job in jobs if job.device == "cuda"]
        written = sum(job.output_bytes for job in jobs) / 1e6 if stage in features else 0.0
        total = Cost(
            total.cpu_seconds + sum(job.cpu_seconds for job in jobs) / hours,
            total.gpu_seconds + sum(job.wall_seconds for job in on_gpu) / hours,
            total.megabytes + written / hours,
            max(total.peak_mib, *(job.peak_mib for job in jobs)),
        )
    return total


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


def _job(stage: MeasuredStage, file: Path, dataset: Dataset) -> JobCost:
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
