"""docs/module.md: another workflow takes the rules over; followed as it stands there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

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
    (tmp_path / "Snakefile").write_text(blocks()[0])
    shutil.copy(ROOT / "config.yaml", tmp_path)
    return tmp_path


def blocks() -> list[str]:
    """The Snakefiles of the page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs/module.md").read_text(), re.S)


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    """A workflow with two modules, of the configuration of `.test/` and of one with another seed and fewer videos."""
    (tmp_path / "Snakefile").write_text(blocks()[1])
    text = (ROOT / ".test/config.yaml").read_text()
    (tmp_path / "small.yaml").write_text(text)
    other = yaml.safe_load(text)
    other["title"] = "other"
    other["demo"]["held_out_videos"] = 3
    other["experiments"]["mcn"].setdefault("training", {})["seed"] = 7
    (tmp_path / "large.yaml").write_text(yaml.safe_dump(other))
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


@pytest.mark.workflow
def test_two_modules_with_results_of_their_own_are_planned(twice: Path) -> None:
    plan = run(twice, "--dry-run")
    made = re.findall(r"^    output: (.+)$", plan, re.M)
    paths = [path for line in made for path in line.split(", ")]
    assert {path.split("/results/")[0] for path in paths} == {"small", "large"}
    for name in ("small", "large"):
        assert f"{name}_train" in plan
    assert not (twice / "results").exists()


@pytest.mark.workflow
def test_the_prefix_that_would_move_files_from_outside_is_refused(twice: Path) -> None:
    snakefile = twice / "Snakefile"
    wrong = re.sub(r"replace_prefix:\n +.*", 'prefix:\n        "far/"', snakefile.read_text())
    snakefile.write_text(wrong)
    done = subprocess.run(["snakemake", "-n"], cwd=twice, capture_output=True, text=True)
    assert done.returncode != 0
    assert 'replace_prefix: {"results/": "far/results/"}' in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.workflow
def test_two_modules_run_beside_each_other(twice: Path) -> None:
    """Each trains and is scored with its own configuration, a rerun has nothing to do, and nothing lies elsewhere."""
    run(twice)
    scores = [
        json.loads((twice / name / "results/evaluation/mcn/demo_test.retrieval.json").read_text())
        for name in ("small", "large")
    ]
    assert scores[0] != scores[1]
    assert "Nothing to be done" in run(twice)
    folders = sorted(one.name for one in twice.iterdir() if one.is_dir())
    assert folders == [".snakemake", "large", "results", "small"]
    assert [one.name for one in (twice / "results").iterdir()] == ["vectors"], "a shared cache"
    titles = [
        json.loads((twice / name / "results/settings.json").read_text())["title"]
        for name in ("small", "large")
    ]
    assert titles[1] == "other"
    assert titles[0] != "other"
