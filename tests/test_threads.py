"""Jobs are planned with the threads that --cores leave them, and use them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.workflow


def planned_threads(folder: Path, cores: int, *told: str) -> dict[str, int]:
    """Rule -> threads of its jobs in a dry run of the demo."""
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", str(ROOT / "config.yaml"), *told]
    command += ["--dry-run", "--cores", str(cores)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {}
    for block in re.split(r"\n(?=(?:local)?rule \w+:)", done.stdout):
        rule = re.match(r"(?:local)?rule (\w+):", block)
        threads = re.search(r"^ +threads: (\d+)$", block, re.MULTILINE)
        if rule:
            found[rule[1]] = int(threads[1]) if threads else 1
    return found


def test_threads_follow_the_cores(tmp_path: Path) -> None:
    """Nine extraction jobs (three features of three shards), or one training, share 64 cores."""
    asset = tmp_path / "mcn/demo/assets"
    asset.mkdir(parents=True)
    (asset / "glove_demo.bin").symlink_to(ROOT / "mcn/demo/assets/glove_demo.bin")
    many = planned_threads(tmp_path, 64)
    extraction = ("decode_frames", "resnet152", "resnext101")
    assert {many[rule] for rule in extraction} == {64 // 9}
    assert many["train"] == 64
    few = planned_threads(tmp_path, 2)
    assert {few[rule] for rule in (*extraction[1:], "train")} == {2}
    assert few["decode_frames"] == 1, "decoded frames are kept, so nothing waits for its readers"
