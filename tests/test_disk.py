"""Full and read-only disks: every stage says so and harms nothing; temporary frames never fill one."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.kill_machine import differences
from tests.mounts import filled, mounted, remounted
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


class Job(NamedTuple):
    """A job of a run: its rule, what it makes, and its command without the redirection to a log."""

    rule: str
    outputs: list[Path]
    command: str


JOB = re.compile(
    r"^rule (?P<rule>\w+):\n(?:    .*\n)*?    output: (?P<outputs>.*)\n(?:    .*\n)*"
    r"Shell command: (?P<command>.*?) &> \S+$",
    re.MULTILINE,
)


def jobs(run: SmallRun) -> list[Job]:
    """Every job that a run consists of."""
    said = run.run("--dry-run", "--forceall", "--printshellcmds", "--cores", "2")
    return [
        Job(one["rule"], [run.folder / path for path in one["outputs"].split(", ")], one["command"])
        for one in JOB.finditer(said)
    ]


def attempt(run: SmallRun, job: Job) -> str:
    """What a job says, which must fail, leave nothing half-written and show no traceback."""
    done = subprocess.run(
        ["bash", "-c", job.command], cwd=run.folder, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, f"{job.rule}: {said}"
    assert "Traceback" not in said, f"{job.rule}: {said}"
    assert run.leftovers() == [], job.rule
    return said


def test_every_stage_says_that_the_disk_is_full_or_read_only_and_harms_nothing(
    undisturbed: SmallRun, finished: SmallRun
) -> None:
    kept, spare = finished.folder / "kept", finished.folder / "spare"
    finished.results.rename(kept)
    size = sum(path.stat().st_size for path in kept.rglob("*") if path.is_file())
    with mounted(finished.results, f"size={size + (64 << 20)}"):
        shutil.copytree(kept, finished.results, dirs_exist_ok=True)
        found = jobs(finished)
        assert {"prepare", "decode_frames", "resnet152", "word2vec", "train", "report"} <= {
            job.rule for job in found
        }
        for job in found:
            spare.mkdir()
            for number, path in enumerate(job.outputs):
                shutil.move(path, spare / str(number))
            with filled(finished.results):
                assert "no space left while writing" in attempt(finished, job), job.rule
            for number, path in enumerate(job.outputs):
                assert not path.exists(), job.rule
                shutil.move(spare / str(number), path)
            spare.rmdir()
        with remounted(finished.results, "ro"):
            for job in found:
                assert "cannot be written" in attempt(finished, job), job.rule
        finished.run()
        assert differences(finished, undisturbed) == []
