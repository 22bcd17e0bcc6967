"""What several test files share."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.small_run import SmallRun

# What is started in the background by a shell inherits that Ctrl-C is ignored; the tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Every run draws the same cases, so that it gives the same verdict; a search among new ones is asked for:
# HYPOTHESIS_PROFILE=fuzz pytest tests/test_damage.py
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.register_profile("fuzz", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Several processes (`pytest -n 2 --dist loadgroup`) share out files, and what stands on one run is one group.

    The tests of the workflow come first: they are the longest, and none of them is left for the end.
    """
    for item in items:
        group = item.path.stem
        if item.get_closest_marker("slurm"):
            group = "slurm"  # there is one /etc/slurm
        elif item.get_closest_marker("workflow") and "undisturbed" in item.fixturenames:
            group = "small run"
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.get_closest_marker("workflow") is None)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """A finished run of the whole workflow on three short videos; tests copy it and leave it alone."""
    run = SmallRun(tmp_path_factory.mktemp("undisturbed"))
    run.run()
    return run


@pytest.fixture
def finished(undisturbed: SmallRun, tmp_path: Path) -> SmallRun:
    """A copy of the finished run, times of change included, to do harm to.

    It lies as deep as the original, so that the relative paths of the code, which Snakemake remembers, stay the same.
    """
    shutil.copytree(undisturbed.folder, tmp_path, dirs_exist_ok=True)
    return SmallRun.at(tmp_path)
