"""Decoders that hang, crash or eat memory cost one job; the next one runs."""

from __future__ import annotations

import errno
import multiprocessing.spawn
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcn.errors import UserError, VideoError
from mcn.media.isolation import Team, Worker

LIMIT_MB = 300


def double(value: int) -> int:
    return 2 * value


def identity() -> int:
    return os.getpid()


def spin() -> None:
    while True:
        pass


def ignore_termination_and_sleep() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def leave() -> None:
    os._exit(3)


def grow() -> None:
    hoard = []
    while True:
        hoard.append(bytearray(b"\1" * 2**24))
        time.sleep(0.01)


def grab() -> int:
    return len(bytearray(2**33))


def fail(kind: str) -> None:
    raise {
        "video": VideoError("truncated", "1 s of 2 s"),
        "user": UserError("a", "b", "c"),
        "disk": OSError(errno.ENOSPC, "No space left on device"),
        "bug": KeyError("nothing of that name"),
    }[kind]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(LIMIT_MB) as worker:
        yield worker


def test_one_child_serves_many_jobs(worker: Worker) -> None:
    first = worker.run(identity, seconds=20)
    assert first != os.getpid()
    assert [worker.run(double, n, seconds=20) for n in range(50)] == list(range(0, 100, 2))
    assert worker.run(identity, seconds=20) == first


@pytest.mark.parametrize("job", [spin, ignore_termination_and_sleep])
def test_endless_jobs_are_killed(worker: Worker, job) -> None:  # type: ignore[no-untyped-def]
    pid = worker.run(identity, seconds=20)
    start = time.monotonic()
    with pytest.raises(VideoError, match="timeout: killed after"):
        worker.run(job, seconds=0.3)
    assert time.monotonic() - start < 5
    assert not Path(f"/proc/{pid}").exists()
    assert worker.run(double, 4, seconds=20) == 8


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_crashes_are_named_by_their_signal(worker: Worker, number: signal.Signals) -> None:
    with pytest.raises(VideoError, match=f"crashed: .*{number.name}"):
        worker.run(die, number, seconds=20)
    assert worker.run(double, 4, seconds=20) == 8


def test_an_exit_is_a_crash(worker: Worker) -> None:
    with pytest.raises(VideoError, match=r"crashed: .*status 3"):
        worker.run(leave, seconds=20)


@pytest.mark.parametrize(
    ("job", "words"), [(grow, "resident, killed"), (grab, "an allocation failed")]
)
def test_memory_bombs(worker: Worker, job, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(VideoError, match=f"^memory: .*{words}"):
        worker.run(job, seconds=60)
    assert worker.run(double, 4, seconds=20) == 8


def test_errors_of_jobs_come_back(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(VideoError, match="truncated: 1 s of 2 s"):
        worker.run(fail, "video", seconds=20)
    with pytest.raises(UserError, match="got: a"):
        worker.run(fail, "user", seconds=20)
    with pytest.raises(OSError, match="No space left") as raised:
        worker.run(fail, "disk", seconds=20)
    assert raised.value.errno == errno.ENOSPC
    with pytest.raises(VideoError, match="crashed: KeyError: 'nothing of that name'"):
        worker.run(fail, "bug", seconds=20)
    assert "in fail" in caplog.text


def test_a_child_that_died_between_jobs_is_replaced(worker: Worker) -> None:
    pid = worker.run(identity, seconds=20)
    os.kill(pid, signal.SIGKILL)
    for _ in range(100):
        if not alive(pid):
            break
        time.sleep(0.02)
    assert worker.run(identity, seconds=20) != pid


def test_the_child_dies_with_its_parent(tmp_path: Path) -> None:
    """Even in the middle of an endless job, when the parent is killed with SIGKILL."""
    code = (
        "import sys\nfrom tests.test_media_isolation import *\nif __name__ == '__main__':\n"
        "    worker = Worker(300)\n    print(worker.run(identity, seconds=20), flush=True)\n"
        "    worker.run(spin, seconds=60)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    for _ in range(100):
        if not alive(child):
            break
        time.sleep(0.05)
    assert not alive(child)


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_script_without_a_guard_can_start_a_worker(tmp_path):
    script = (
        "import os\nfrom pathlib import Path\nfrom mcn.media.isolation import Team, Worker\n"
        "with Worker(1024) as worker:\n    print(worker.run(os.path.exists, '/', seconds=60))\n"
    )
    (tmp_path / "script.py").write_text(script)
    for words, given in (([str(tmp_path / "script.py")], None), (["-"], script)):
        done = subprocess.run(
            [sys.executable, *words],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        )
        assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


def test_a_child_that_does_not_start_is_told_in_words(monkeypatch):
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", b"/bin/false")
    told = pytest.raises(UserError, match=r"no process to decode in: .* ended with status 1")
    with Worker(LIMIT_MB) as worker, told:
        worker.run(double, 1, seconds=10)


def test_a_team_gives_results_in_order_and_ends_when_one_fails() -> None:
    """Nobody waits for the hour of sleep behind an item that fails."""
    with Team(2, memory_limit_mb=500) as team:
        waits = [0.3, 0.0, 0.0, 0.1]
        pids = list(
            team.map(lambda worker, wait: (wait, worker.run(slept, wait, seconds=20)), waits)
        )
        assert [wait for wait, _ in pids] == waits
        assert len({pid for _, pid in pids}) == 2
    began = time.monotonic()
    with Team(2, memory_limit_mb=500) as team, pytest.raises(VideoError):
        list(team.map(lambda worker, wait: worker.run(slept, wait, seconds=3600), [-1, 3600]))
    assert time.monotonic() - began < 60


def slept(seconds: float) -> int:
    if seconds < 0:
        raise VideoError("crashed", "as told")
    time.sleep(seconds)
    return os.getpid()
