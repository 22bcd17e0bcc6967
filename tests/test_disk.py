"""Temporary frames never fill a disk: a run with little room decodes a shard, uses it up, and only then the next."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.small_run import SmallRun

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

SHARDS = 3
BUDGET = ("--cores", "8", "--resources", "disk_mb=4000")
TARGETS = ("resnet152_shards", "resnext101_shards")


def most_at_once(run: SmallRun, *arguments: str) -> int:
    """Run to the end; the largest number of shards whose decoded frames lay on disk at any moment."""
    head = run.start(*arguments)
    most = 0
    while head.poll() is None:
        found = {path.name for path in run.results.glob("small/decoded/frames_*/*.parquet")}
        most = max(most, len(found))
        time.sleep(0.02)
    assert head.returncode == 0, run.output()
    return most


def test_frames_on_disk_stay_within_the_budget(undisturbed: SmallRun, tmp_path: Path) -> None:
    weights = undisturbed.results / "weights"
    changes = {
        "keep_decoded": False,
        "datasets": {"small": {"shards": SHARDS}},
        "features": {
            name: {"weights": str(weights / f"{name}.safetensors")}
            for name in ("resnet152", "resnext101")
        },
    }
    run = SmallRun(tmp_path, changes)
    assert most_at_once(run, *BUDGET, "--", *TARGETS) == 1
    assert not list(run.results.glob("small/decoded/frames_*/*.parquet"))
    assert len(list(run.results.glob("small/features/res*/*.parquet"))) == 2 * SHARDS
