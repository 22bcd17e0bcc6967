"""Files and folders that may not be read or written: told as such, with what mends it, and never as damage.

Whoever is root may read everything; the verbs run without that right, which `setpriv` takes from them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_search_answers import folder

RIGHTS = "-dac_override,-dac_read_search"
ROOT = Path(__file__).parent.parent


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder whose files are closed by the tests, and opened again for who removes it."""
    yield tmp_path
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o700)


def told(root: Path, *words: str) -> str:
    """What a verb says on standard error, run by somebody who may read only what is theirs."""
    command = [sys.executable, "-m", "mcn", *words]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may read everything, and there is no setpriv")
        command = ["setpriv", "--bounding-set", RIGHTS, "--inh-caps", RIGHTS, *command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_what_may_not_be_read_is_told_as_that(closed: Path) -> None:
    (closed / "videos").mkdir()
    (closed / "videos").chmod(0)
    assert "got: videos cannot be read: Permission denied" in told(
        closed, "run", "videos", "--output", "out"
    )
    assert not (closed / "out").exists()
    (closed / "list.csv").write_text("video_id,path\na,a.mp4\n")
    (closed / "list.csv").chmod(0)
    said = told(closed, "run", "list.csv", "--output", "out")
    assert "list.csv: permission denied" in said
    assert "do this: let its owner give it (chmod u+rw list.csv)" in said
    (closed / "own").mkdir(mode=0o500)
    (closed / "videos").chmod(0o700)
    assert "own/out cannot be written: Permission denied" in told(
        closed, "run", "videos", "--output", "own/out"
    )


def test_answers_that_may_not_be_read_are_not_called_damaged(closed: Path) -> None:
    folder(closed, "real.pth")
    part = closed / "results/index/small/mine/00000.parquet"
    part.chmod(0)
    assert f"{part.name}: permission denied" in told(closed, "search", ".", "dog")
    (closed / "results/settings.json").chmod(0)
    said = told(closed, "search", ".", "dog")
    assert "settings.json: permission denied" in said
    assert "rm " not in said
