"""What the catalog of Snakemake workflows expects of a repository is there; its run, and the notebook over it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

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


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the test run has been made, from the place where the catalog looks."""
    folder = tmp_path_factory.mktemp("catalog")
    shutil.copy(ROOT / ".test/config.yaml", folder)
    command = ["snakemake", "--snakefile", ROOT / "workflow/Snakefile", "--directory", folder]
    done = subprocess.run([*command, "--cores", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.workflow
@pytest.mark.slow
def test_the_test_run_makes_everything(ran: Path) -> None:
    assert (ran / "results/report.html").stat().st_size
    assert (ran / "results/evaluation/mcn/demo_test.retrieval.json").exists()


@pytest.mark.workflow
@pytest.mark.slow
def test_the_notebook_explores_a_run(ran: Path) -> None:
    """Every cell runs; four answers are seen, and every moment with a vector has a place on the map."""
    notebook = nbformat.read(ROOT / "docs/explore.ipynb", 4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ran)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 2
    (counted,) = (
        output.text for output in shown if "moments have a vector" in output.get("text", "")
    )
    assert int(counted.split()[0]) > 4


def test_the_notebook_is_kept_without_what_was_computed() -> None:
    notebook = nbformat.read(ROOT / "docs/explore.ipynb", 4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)


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
