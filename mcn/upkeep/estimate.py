"""Hours, bytes and GPU-hours that a manifest will cost, from a sample of its videos and a table of measured stages.

Conventions
-----------
- Length: `sample` videos, drawn at random, are probed (not decoded); a file that cannot be opened counts as 0 s. The
  total is the mean times the number of videos.
- Cost: of each stage, the sum over the table's jobs divided by their seconds of video (a ratio estimate). Start-up is
  in it, so tables of small shards overestimate.
- `error`: half width of a 95 % interval, relative: Student's t of the sample's and of the jobs' spread, in quadrature.
  One job has no spread, so its error is unknown (NaN). What differs between the table's machine or videos (size of the
  picture above all) and yours is in no interval: measure a shard of your own.
- Hours are those of jobs; a job on a GPU counts as GPU-hours, any other as core-hours (processor time).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student
from tqdm import tqdm

from mcn.errors import UserError, VideoError
from mcn.media.isolation import Worker
from mcn.media.probe import declared_seconds
from mcn.media.remote import Downloads
from mcn.options.decode import DecodeOptions
from mcn.sources.manifest import ManifestRow
from mcn.upkeep.costs import JobCost

LEVEL = 0.95


@dataclass(frozen=True)
class Sample:
    """What the probed videos tell: videos, hours and GB in all; the hours' relative error; the unusable share."""

    videos: int
    probed: int
    hours: float
    error: float
    unusable: float
    gigabytes: float


@dataclass(frozen=True)
class StageEstimate:
    """What one stage will cost; gigabytes: of what it writes. `error` is relative, NaN where unknown."""

    stage: str
    job_hours: float
    core_hours: float
    gpu_hours: float
    gigabytes: float
    error: float


def probe_sample(
    rows: Sequence[ManifestRow], size: int, seed: int = 0, downloads: Downloads | None = None
) -> Sample:
    """Probe `size` videos of a manifest, drawn by `seed`; those at addresses are fetched.

    Errors: `UserError` where no video of them can be opened.
    """
    drawn = random.Random(seed).sample(list(rows), min(size, len(rows)))
    options = DecodeOptions.model_validate({})
    seconds, sizes = [], []
    cache = downloads or Downloads()
    with Worker(options.memory_limit_mb) as worker:
        for row in tqdm(drawn, desc="estimate", unit="video", disable=None):
            try:
                with cache.at_hand(row.path, row.sha256 or "") as path:
                    found = worker.run(declared_seconds, path, seconds=options.time_limit_seconds)
                    sizes.append(path.stat().st_size)
            except VideoError:
                found = 0.0
            seconds.append(found)
    if not any(seconds):
        got = f"none of {len(drawn)} videos can be opened"
        raise UserError(got, "videos to measure", "look at them: mcn doctor MANIFEST")
    mean = float(np.mean(seconds))
    deviation = float(np.std(seconds, ddof=1)) if len(seconds) > 1 else math.nan
    left = 1 - len(drawn) / len(rows)  # of the videos: what was probed is known
    return Sample(
        len(rows),
        len(drawn),
        mean * len(rows) / 3600,
        _half_width(deviation, len(seconds), left) / mean,
        seconds.count(0.0) / len(seconds),
        sum(sizes) / len(drawn) * len(rows) / 1e9,
    )


def estimate(sample: Sample, costs: Sequence[JobCost]) -> list[StageEstimate]:
    """What every stage of the table will cost for the videos that `sample` stands for, in the table's order."""
    return [
        _stage(stage, sample, jobs)
        for stage in dict.fromkeys(cost.stage for cost in costs)
        if (jobs := [cost for cost in costs if cost.stage == stage and cost.media_seconds > 0])
    ]


def format_estimate(sample: Sample, stages: Sequence[StageEstimate]) -> str:
    """The estimate as text; every amount with its interval."""
    width = max([14, *(len(one.stage) + 2 for one in stages)])
    lines = [
        f"{sample.videos} videos, {sample.probed} of them probed, {sample.unusable:.0%} of these unusable",
        f"{sample.hours:,.1f} h of video {_interval(sample.error)}, {sample.gigabytes:,.1f} GB",
        "",
        f"{'stage':<{width}}{'job hours':>12}{'core-hours':>12}{'GPU-hours':>12}{'GB written':>12}  within",
    ]
    for one in stages:
        amounts = (one.job_hours, one.core_hours, one.gpu_hours, one.gigabytes)
        numbers = "".join(f"{amount:>12,.2f}" for amount in amounts)
        lines.append(f"{one.stage:<{width}}{numbers}  {_interval(one.error)}")
    return "\n".join(lines)


def _stage(stage: str, sample: Sample, jobs: Sequence[JobCost]) -> StageEstimate:
    media = np.array([job.media_seconds for job in jobs])
    wall = np.array([job.wall_seconds for job in jobs])
    ratio = wall.sum() / media.sum()
    hours = sample.hours
    on_gpu = jobs[0].device == "cuda"
    if len({job.device for job in jobs}) > 1:
        cure = "give the table of one machine"
        raise UserError(f"{stage} measured on both cpu and cuda", "one device a stage", cure)
    spread = float(np.std(wall - ratio * media, ddof=1)) if len(jobs) > 1 else math.nan
    own = _half_width(spread, len(jobs)) / wall.mean()
    return StageEstimate(
        stage,
        ratio * hours,
        0.0 if on_gpu else sum(job.cpu_seconds for job in jobs) / media.sum() * hours,
        ratio * hours if on_gpu else 0.0,
        sum(job.output_bytes for job in jobs) / media.sum() * hours * 3600 / 1e9,
        math.hypot(own, sample.error),
    )


def _half_width(deviation: float, number: int, left: float = 1.0) -> float:
    """Half width of the interval of a mean of `number` values; `left`: share of the population not drawn."""
    if number < 2:
        return math.nan if left else 0.0
    return float(student.ppf((1 + LEVEL) / 2, number - 1) * deviation * math.sqrt(left / number))


def _interval(error: float) -> str:
    return "(error unknown: one measurement)" if math.isnan(error) else f"± {error:.0%}"
