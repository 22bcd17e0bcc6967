"""What a comparison can be told."""

from __future__ import annotations

from pydantic import Field

from mcn.options.base import Options


class ComparisonOptions(Options):
    """Baseline and bootstrap; unknown keys are errors."""

    baseline: str = Field("mcn", description="the objective that the others are subtracted from")
    draws: int = Field(2000, ge=100, description="bootstrap draws of videos and seeds [draws]")
    level: float = Field(0.95, gt=0, lt=1, description="level of the intervals [probability]")
    kmeans_runs: int = Field(5, ge=1, description="k-means runs behind purity and NMI [runs]")
    seed: int = Field(0, ge=0, description="seed of draws and k-means")
