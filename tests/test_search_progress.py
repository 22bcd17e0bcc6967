"""The line of progress is made from what Snakemake says."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcn.errors import UserError
from mcn.search import progress
from mcn.search.progress import Progress, follow
from tests.mounts import mounted

SAID = """Job stats:
job              count
-------------  -------
decode_frames        4
index                4
total                8

Finished jobid: 3 (Rule: decode_frames)
1 of 8 steps (12%) done
Finished jobid: 4 (Rule: decode_frames)
2 of 8 steps (25%) done
Error in rule index:
Error in rule index, jobid: 5
Finished jobid: 6 (Rule: index)
3 of 8 steps (38%) done
"""


def test_stage_shards_jobs_and_time_left_are_said():
    progress = Progress()
    for line in SAID.splitlines()[:11]:
        progress.read(line)
    assert progress.text(2) == "decode_frames: 2 of 4 shards, 2 of 8 jobs"
    for line in SAID.splitlines()[11:]:
        progress.read(line)
    assert progress.text(3) == "index: 1 of 4 shards, 3 of 8 jobs, about 0:00 left"


def test_everything_is_kept_and_the_exit_status_is_that_of_the_run(tmp_path, capsys):
    command = [sys.executable, "-c", f"print({SAID!r}); raise SystemExit(3)"]
    assert follow(command, tmp_path / "logs" / "run.log", {}) == 3
    assert (tmp_path / "logs" / "run.log").read_text() == SAID + "\n"
    assert capsys.readouterr().out.splitlines()[-1] == "index: 2 jobs failed"


def test_snakemake_ends_with_what_follows_it(tmp_path):
    inner = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    outer = (
        "import sys\nfrom pathlib import Path\nfrom mcn.search.progress import follow\n"
        f"follow([sys.executable, '-c', {inner!r}], Path({str(tmp_path / 'log')!r}), {{}})"
    )
    with subprocess.Popen(
        [sys.executable, "-c", outer], cwd=Path(__file__).parent.parent
    ) as process:
        child = _when(
            lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text().strip()
        )
        process.kill()
    assert _when(lambda: not _alive(int(child)))


def _when(found):
    for _ in range(300):
        if value := found():
            return value
        time.sleep(0.1)
    return None


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().split()[2] not in "ZX"


def test_a_workflow_that_does_not_end_on_a_full_disk_is_killed(tmp_path, monkeypatch):
    """As Snakemake does where it could not note the end of a job; it would fill its pipe, too."""
    monkeypatch.setattr(progress, "SECONDS_TO_END", 1.0)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    said = f"{deaf}print({SAID!r} * 2000, flush=True)\nwhile True: print('x' * 9999)"
    with mounted(tmp_path / "small", "size=64k"):
        log = tmp_path / "small" / "logs" / "run.log"
        with pytest.raises(UserError, match=f"no space left while writing {log}"):
            follow([sys.executable, "-c", said], log, {})


def test_a_full_disk_is_told_and_the_run_is_ended(tmp_path):
    said = f"print({SAID!r} * 1000)"
    with mounted(tmp_path / "small", "size=64k"):
        log = tmp_path / "small" / "logs" / "run.log"
        with pytest.raises(UserError, match=f"no space left while writing {log}"):
            follow([sys.executable, "-c", said], log, {})
