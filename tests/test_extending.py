"""docs/extending.md followed to the letter: its files go into a copy of the tree, where the tests that it shows run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
FILES = dict(
    re.findall(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and its tests with the files of the page, of which none is there yet."""
    folder = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("mcn", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, text in FILES.items():
        assert not (folder / name).exists()
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_every_section_has_a_file_and_its_test() -> None:
    sections = PAGE.split("\n## ")[1:]
    assert [section.partition("\n")[0] for section in sections] == [
        "A loss",
        "An encoder",
        "A data set",
        "An evaluation",
    ]
    for section in sections:
        named = re.findall(r"^`([\w/]+\.py)`:$", section, re.MULTILINE)
        assert [name.partition("/")[0] for name in named] == ["mcn", "tests"]


def test_what_the_page_adds_works(copy: Path) -> None:
    tests = [name for name in FILES if name.startswith("tests/")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "6 passed" in done.stdout
