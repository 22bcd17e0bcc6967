"""How long a process lives: a job ends when what started it has gone, and a lock ends with the process that holds it.

Conventions
-----------
- A process of Snakemake names itself in the environment of its jobs (`note_head`): host, process-id namespace, number
  and start time, so that another process of the same number is not taken for it. On a cluster that is the Snakemake of
  the job script, which names itself anew.
- A job watches this process and its own parent; a process of torchrun watches its parent. Where one of them has gone,
  the job gets SIGTERM, and SIGKILL `GRACE_SECONDS` later. A verb that a person started watches nothing.
- SIGTERM ends a verb as Ctrl-C does: what is half-written is removed. Training writes a checkpoint first.
- A lock is a POSIX record lock (`fcntl.lockf`) on a file that stays. The system releases it when the process dies,
  however it dies, and forked processes do not have it. It holds between processes of one host, and between hosts where
  the file system passes such locks on: NFS 4 (the server releases those of a vanished host when its lease ends, 90 s by
  default), NFS 3 with lockd (those of a vanished host last until it is up again), Lustre mounted with `flock`. Where
  the file system has no locks, a warning says so, and nothing but the watching keeps two processes apart.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import IO

from mcn.errors import UserError

log = logging.getLogger(__name__)

HEAD = "MCN_HEAD"  # environment variable that names the process of Snakemake
TORCHRUN = "TORCHELASTIC_RUN_ID"  # set by torchrun for its processes
POLL_SECONDS = 0.5
GRACE_SECONDS = 120.0  # from SIGTERM to SIGKILL, for a long training step and its checkpoint
PATIENCE_SECONDS = 900.0  # how long a lock is waited for
SAY_SECONDS = 60.0
_ending = threading.Event()  # set once this process has told itself to end


def note_head() -> None:
    """Let the jobs that this process starts end when it has gone."""
    os.environ[HEAD] = _name_of(os.getpid())


def _name_of(pid: int) -> str:
    """A process among all: host, process-id namespace, number, start time; the last empty where it has gone."""
    return " ".join([*_here(), str(pid), _start_of(pid)])


def _here() -> tuple[str, str]:
    """The host, and the namespace that process numbers belong to (a container may have its own)."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = "-"
    return socket.gethostname(), space


def is_alive(pid: int) -> bool:
    """Whether a process of this host runs."""
    return bool(_start_of(pid))


def _start_of(pid: int) -> str:
    """When a living process started, in the system's ticks; '' where there is none; '-' where the system hides it."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            return "-"
        return "-"
    return "" if state in "ZX" else fields[18]


def _head_has_gone() -> bool:
    """Whether the process of Snakemake that this job belongs to has ended; False where it cannot be seen from here."""
    name = os.environ.get(HEAD, "").split(" ")
    if len(name) != 4 or tuple(name[:2]) != _here():
        return False
    return _start_of(int(name[2])) != name[3]


@contextlib.contextmanager
def ending_with_parent() -> Iterator[None]:
    """While it lasts, SIGTERM raises SystemExit(143), and comes by itself when what started this job has gone.

    Outside the main thread, where Python allows no handlers, nothing is set.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGTERM, _exit)
    parent = os.getppid()
    watched = HEAD in os.environ or TORCHRUN in os.environ

    def gone() -> str:
        orphan = _head_has_gone() or os.getppid() != parent
        return "what started this process has gone" if orphan else ""

    try:
        with ending_when(gone) if watched else contextlib.nullcontext():
            yield
    finally:
        signal.signal(signal.SIGTERM, usual)
        _ending.clear()


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def ending_when(reason: Callable[[], str]) -> Iterator[None]:
    """While it lasts, this process gets SIGTERM as soon as `reason` gives one, and SIGKILL `GRACE_SECONDS` later."""
    done = threading.Event()

    def watch() -> None:
        while not (why := reason()):
            if done.wait(POLL_SECONDS):
                return
        log.warning("%s: this process ends", why)
        if not _ending.is_set():  # a second signal would cut short what the first one began
            _ending.set()
            os.kill(os.getpid(), signal.SIGTERM)
        if not done.wait(GRACE_SECONDS):
            os.kill(os.getpid(), signal.SIGKILL)

    thread = threading.Thread(target=watch, name="lifetime", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def only_process(lock: Path) -> Iterator[None]:
    """Hold the lock file `lock`, alone among all processes; who wants it next has it soon.

    A process that has to wait asks the holder, by a file beside the lock, to hand over: the holder gets SIGTERM.
    Errors: `UserError` that names the holder where it does not hand over within `PATIENCE_SECONDS`.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    asked = lock.with_name(f"{lock.name}.asked")
    with open(lock, "a+", encoding="utf-8") as file:
        _wait_for(file, lock, asked)
        asked.unlink(missing_ok=True)
        file.truncate(0)
        file.write(_speaker())
        file.flush()

        def handed_over() -> str:
            return f"{_told(asked)} goes on in its place" if asked.exists() else ""

        with ending_when(handed_over):
            yield


def _wait_for(file: IO[str], lock: Path, asked: Path) -> None:
    """Return when the lock is ours, having asked its holder for it."""
    began, said = time.monotonic(), -SAY_SECONDS
    while not _locked(file, lock):
        waited = time.monotonic() - began
        holder = _told(lock)
        if waited > PATIENCE_SECONDS:
            asked.unlink(missing_ok=True)
            raise UserError(
                f"{lock} is held by {holder}, which was asked to stop {waited:.0f} s ago",
                "one training of an experiment at a time",
                "end that process or its job (kill, scancel), and run again: it goes on from the last checkpoint",
            )
        if waited - said >= SAY_SECONDS:
            said = waited
            log.warning("%s is at work here and is asked to stop; waiting for it", holder)
        asked.write_text(_speaker(), encoding="utf-8")
        time.sleep(POLL_SECONDS)


def _locked(file: IO[str], lock: Path) -> bool:
    """Try to lock; True too, with a warning, where the file system has no locks."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        log.warning("the file system of %s has no locks: start one process at a time", lock)
    return True


def _speaker() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _told(file: Path) -> str:
    """Who a lock or a request names."""
    with contextlib.suppress(OSError, ValueError):
        return file.read_text(encoding="utf-8") or "another process"
    return "another process"
