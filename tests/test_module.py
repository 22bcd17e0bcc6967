"""docs/module.md: another workflow takes the rules over; followed as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["snakemake", "--cores", "1", *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A workflow of somebody else, with the page's Snakefile and the demo's configuration."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/module.md").read_text(), re.S)
    (tmp_path / "Snakefile").write_text(code)
    shutil.copy(ROOT / "config.yaml", tmp_path)
    return tmp_path


@pytest.mark.workflow
def test_the_rules_of_a_module_are_planned_under_its_names(project: Path) -> None:
    plan = run(project, "--dry-run", "my_table")
    assert "mcn_train" in plan
    assert "mcn_evaluate_retrieval" in plan


@pytest.mark.slow
@pytest.mark.workflow
def test_a_job_of_a_module_finds_its_settings(project: Path) -> None:
    small = ("--config", "demo={training_videos: 1, held_out_videos: 1}")
    run(project, "results/demo_test/shards/00000.csv", *small)
    assert (project / "results/settings.json").exists()
