"""A job ends with what started it, and a lock with the process that holds it; real processes, killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mcn import cli, lifetime

ROOT = Path(__file__).parent.parent

JOB = """
import sys, time
from pathlib import Path
from mcn.lifetime import ending_with_parent, only_process
folder = Path(sys.argv[1])
with ending_with_parent():
    try:
        with only_process(folder / "lock"):
            (folder / f"{sys.argv[2]} began").touch()
            for _ in range(600):
                time.sleep(0.1)
                if (folder / "finish").exists():
                    (folder / f"{sys.argv[2]} finished").touch()
                    break
    finally:
        (folder / f"{sys.argv[2]} cleaned up").touch()
"""
# as Snakemake starts a job: a shell in between, which stays
HEAD = """
import subprocess, sys
from mcn.lifetime import note_head
note_head()
subprocess.run(["bash", "-c", 'set -e; "$@"; true', "job", sys.executable, *sys.argv[1:]])
"""


def start(folder: Path, name: str, head: bool = False) -> subprocess.Popen[bytes]:
    words = ["-c", HEAD, "-c", JOB] if head else ["-c", JOB]
    environment = {key: value for key, value in os.environ.items() if key != lifetime.HEAD}
    return subprocess.Popen(
        [sys.executable, *words, str(folder), name],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    )


def wait_for(path: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.02)


def shell_of(head: int) -> int:
    """The only child of a process."""
    return int(Path(f"/proc/{head}/task/{head}/children").read_text().split()[0])


@pytest.mark.parametrize("victim", ["head", "shell"])
def test_a_job_ends_cleanly_when_what_started_it_is_killed(tmp_path, victim):
    head = start(tmp_path, "job", head=True)
    wait_for(tmp_path / "job began")
    os.kill(head.pid if victim == "head" else shell_of(head.pid), signal.SIGKILL)
    wait_for(tmp_path / "job cleaned up")
    assert not (tmp_path / "job finished").exists()
    head.communicate()


def test_what_a_person_starts_outlives_the_shell(tmp_path):
    shell = start(tmp_path, "shell", head=True)  # any process will do
    wait_for(tmp_path / "shell began")
    shell.kill()
    wait_for(tmp_path / "shell cleaned up")
    own = tmp_path / "own"
    own.mkdir()
    words = [sys.executable, "-c", JOB, str(own), "job"]
    environment = {key: value for key, value in os.environ.items() if key != lifetime.HEAD}
    subprocess.run(  # the shell ends at once
        ["bash", "-c", '"$@" > /dev/null 2>&1 &', "shell", *words],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    wait_for(own / "job began")
    time.sleep(3 * lifetime.POLL_SECONDS)
    (own / "finish").touch()
    wait_for(own / "job finished")
    shell.communicate()


def test_who_holds_a_lock_hands_it_over(tmp_path):
    first = start(tmp_path, "first")
    wait_for(tmp_path / "first began")
    second = start(tmp_path, "second")
    wait_for(tmp_path / "second began")
    assert (tmp_path / "first cleaned up").exists()
    said = first.communicate()[1].decode()
    assert first.returncode == 143
    assert f"process {second.pid} on" in said
    (tmp_path / "finish").touch()
    said = second.communicate()[1].decode()
    assert second.returncode == 0
    assert f"process {first.pid} on" in said
    assert (tmp_path / "second finished").exists()


def test_a_lock_dies_with_its_holder(tmp_path):
    first = start(tmp_path, "first")
    wait_for(tmp_path / "first began")
    first.kill()
    first.communicate()
    (tmp_path / "lock.asked").touch()  # of a process that died while it waited
    (tmp_path / "finish").touch()
    second = start(tmp_path, "second")
    assert second.communicate()[1] == b""
    assert (tmp_path / "second finished").exists()


def test_a_holder_that_does_not_let_go_is_named(tmp_path, monkeypatch):
    first = start(tmp_path, "first")
    wait_for(tmp_path / "first began")
    first.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(lifetime, "PATIENCE_SECONDS", 1.0)
    with (
        pytest.raises(lifetime.UserError, match=f"held by process {first.pid} on"),
        lifetime.only_process(tmp_path / "lock"),
    ):
        pass
    assert not (tmp_path / "lock.asked").exists()
    first.kill()
    first.communicate()


def test_only_the_very_process_counts_as_the_head(monkeypatch):
    host, space = lifetime._here()
    own = lifetime._start_of(os.getpid())
    names = {
        f"{host} {space} {os.getpid()} {own}": False,
        f"{host} {space} {os.getpid()} {own}1": True,  # another process of the same number
        f"{host} {space} 4194999 1": True,
        f"elsewhere {space} 4194999 1": False,
        f"{host} pid:[1] 4194999 1": False,
        "": False,
    }
    for name, gone in names.items():
        monkeypatch.setenv(lifetime.HEAD, name)
        assert lifetime._head_has_gone() == gone, name


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, caplog):
    def refuse(*_: object) -> None:
        raise OSError(lifetime.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lifetime.fcntl, "lockf", refuse)
    with lifetime.only_process(tmp_path / "lock"):
        assert "has no locks" in caplog.text


def test_a_library_thread_that_cannot_write_is_a_line_and_any_other_fault_a_traceback(
    capsys, caplog, monkeypatch
):
    monkeypatch.setattr(threading, "excepthook", cli._note_failed_thread)

    def fail(error):
        raise error

    for error in (OSError(errno.ENOSPC, "No space left on device", "events"), ValueError("bug")):
        thread = threading.Thread(target=fail, args=(error,))
        thread.start()
        thread.join()
    assert "a thread ended: [Errno 28] No space left on device: 'events'" in caplog.text
    said = capsys.readouterr().err
    assert "No space" not in said
    assert "ValueError: bug" in said
