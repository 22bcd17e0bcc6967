"""What several test files share."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the workflow come first: they take longest, and none of them is left for the end."""
    items.sort(key=lambda item: item.get_closest_marker("workflow") is None)


@functools.cache
def group_of(file: str) -> str:
    """What a file of tests shares with others: one Slurm, or the one finished run; otherwise the file alone."""
    text = (Path(__file__).parent.parent / file).read_text()
    if "pytest.mark.slurm" in text:
        return "slurm"
    return "small run" if ": SmallRun" in text and "undisturbed" in text else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Several processes (`pytest -n 2`) share out groups of files, so that no fixture is made twice."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid.split("::")[0])

    return ByGroup(config, log)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """A finished run of the whole workflow on three short videos; tests copy it and leave it alone."""
    run = SmallRun(tmp_path_factory.mktemp("undisturbed"))
    run.run()
    return run


@pytest.fixture
def finished(undisturbed: SmallRun, tmp_path: Path) -> SmallRun:
    """A copy of the finished run, times of change included, to do harm to.

    It lies as deep as the original, so that relative paths, which Snakemake remembers, stay the same.
    """
    undisturbed.copy_to(tmp_path)
    return SmallRun.at(tmp_path)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Answers about a folder of small videos, for the page (tests/answers_fake.py)."""
    from tests.answers_fake import FakeAnswers, make_folder

    return FakeAnswers(make_folder(tmp_path_factory.mktemp("served")))


@pytest.fixture(scope="session")
def client(served: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of the page of `served`."""
    from starlette.testclient import TestClient

    from mcn.search.serve.app import create_app
    from mcn.search.serve.opened import Opened
    from tests.served import LOCAL

    app = create_app(Opened(lambda: served), tmp_path_factory.mktemp("cache"))
    with TestClient(app, base_url=LOCAL, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(autouse=True)
def _small_numbers_stay() -> Iterator[None]:
    """A training takes denormal numbers for zero, in its whole process; the tests after it shall not."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
