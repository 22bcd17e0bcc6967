"""What the catalog of Snakemake workflows and snakedeploy expect of a repository is there, and its run is planned."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mcn.config.configuration import configure

ROOT = Path(__file__).parent.parent


def test_the_catalog_is_told_how_the_workflow_is_used() -> None:
    """The keys are those of the catalog's own description of the file; what it promises is there."""
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    deployment = usage["software-stack-deployment"]
    assert set(deployment) == {"conda", "apptainer", "apptainer+conda"}
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert deployment["conda"] == ("conda:" in rules)
    assert usage["report"] == ('report: "workflow/report' in (ROOT / "Snakefile").read_text())


def test_the_test_run_is_a_valid_configuration() -> None:
    settings = configure(yaml.safe_load((ROOT / ".test/config.yaml").read_text()))
    assert list(settings.experiments) == ["mcn"]


@pytest.mark.workflow
@pytest.mark.slow
def test_the_test_run_makes_everything_in_the_place_where_the_catalog_looks(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".test/config.yaml", tmp_path)
    workflow = ["snakemake", "--snakefile", ROOT / "workflow/Snakefile"]
    done = subprocess.run(
        [*workflow, "--directory", tmp_path, "--cores", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results/report.html").stat().st_size
    assert list(tmp_path.glob("results/evaluation/mcn/demo_test.retrieval.json"))


@pytest.mark.workflow
def test_the_test_run_is_planned_alike_from_both_places(tmp_path: Path) -> None:
    def plan(snakefile: str) -> set[str]:
        shutil.copy(ROOT / ".test/config.yaml", tmp_path)
        command = ["snakemake", "--snakefile", ROOT / snakefile, "--directory", tmp_path]
        done = subprocess.run(
            [*command, "--cores", "2", "--dry-run"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return set(re.findall(r"^(?:local)?rule (\w+):", done.stdout + done.stderr, re.M))

    outer, inner = plan("Snakefile"), plan("workflow/Snakefile")
    assert "train" in outer
    assert outer - {"all"} == inner - {"everything"}
