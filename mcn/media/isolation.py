"""Run decoders in a child process, which may hang, crash or run out of memory without harm to the run.

Conventions
-----------
- A `Worker` owns one child, started with `spawn` and used again for the next job: a job costs under a millisecond more
  than a call. A child that had to be killed, or died, is replaced at the next job.
- Jobs are module-level functions with picklable arguments and results; large results go through files.
- Limits: wall-clock seconds a job (above: SIGKILL, `timeout`) and resident memory of the child (watched every
  `_POLL_SECONDS`; above: SIGKILL, `memory`). The child's address space is limited as well, so that one huge allocation
  fails inside it (`memory`). A child that dies on its own gives `crashed`, with its signal.
- `VideoError`, `UserError` and errors of the operating system (disk full) raised by a job are raised again here;
  any other exception of a job costs one video, as `crashed`, and its traceback is logged.
- The child dies with the thread that made the `Worker`, and ignores Ctrl-C: the parent decides.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import multiprocessing
import os
import queue
import resource
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from mcn.errors import UserError, VideoError

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_MEBIBYTE = 2**20
_START_SECONDS = 60.0  # for a child to start and import its modules, on a loaded machine
_PR_SET_PDEATHSIG = 1  # Linux prctl: signal sent to the child when its parent dies

_STARTING = threading.Lock()  # the main module is hidden from one child at a time

Item = TypeVar("Item")
T = TypeVar("T")


class Worker:
    """A child process for one job at a time; a context manager. `memory_limit_mb`: MiB resident."""

    def __init__(self, memory_limit_mb: int) -> None:
        self._memory_limit_mb = memory_limit_mb
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._stopped = False

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, function: Callable[..., T], *arguments: Any, seconds: float) -> T:
        """`function(*arguments)` in the child. Errors: `timeout`, `memory`, `crashed`, and those of the function."""
        connection = self._ready()
        try:
            connection.send((function, arguments))
            self._wait(connection, seconds)
            outcome, value = connection.recv()
        except (EOFError, ConnectionError):
            raise VideoError("crashed", self._death()) from None
        if outcome == "result":
            return value
        raise self._failure(value)

    def close(self) -> None:
        """End the child at once."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def stop(self) -> None:
        """Kill the child for good while another thread waits for it: this job fails, and so does every later one."""
        self._stopped, process = True, self._process
        with contextlib.suppress(ValueError):  # it was closed meanwhile
            if process is not None:
                process.kill()

    def _ready(self) -> Connection:
        """The connection to a living child that waits for a job; starts one where there is none."""
        if self._stopped:
            raise VideoError("crashed", "the decoding process was stopped")
        if self._connection is not None and self._connection.poll(0):
            self.close()  # an idle child says nothing: this is the end of its pipe
        if self._connection is None:
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(
                target=_serve, args=(theirs, self._memory_limit_mb), daemon=True
            )
            with _STARTING, _without_main():
                self._process.start()
            theirs.close()
            self._await_start(self._connection)
        return self._connection

    def _await_start(self, connection: Connection) -> None:
        """Errors: `UserError` where the child ends or says nothing, for then no video can be decoded."""
        try:
            if connection.poll(_START_SECONDS) and connection.recv() == "ready":
                return
            how = f"it said nothing for {_START_SECONDS:.0f} s"
        except (EOFError, ConnectionError):
            how = self._death()
        self.close()
        got = f"no process to decode in: {how}"
        cure = "see that this user may start processes (ulimit -u, ulimit -v) and read this Python, then run again"
        raise UserError(got, "a child process", cure)

    def _wait(self, connection: Connection, seconds: float) -> None:
        """Return when the child has answered or died; kill it at a limit."""
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while not connection.poll(_POLL_SECONDS):
            used = resident_bytes(self._process.pid) // _MEBIBYTE
            if used > self._memory_limit_mb:
                self.close()
                limit = f"memory_limit_mb is {self._memory_limit_mb}"
                raise VideoError("memory", f"{used} MiB resident, killed; {limit}")
            if time.monotonic() > deadline:
                self.close()
                raise VideoError("timeout", f"killed after {seconds:.0f} s")

    def _death(self) -> str:
        """How the child ended, in words."""
        assert self._process is not None
        self._process.join()
        code = self._process.exitcode or 0
        self.close()
        if code >= 0:
            return f"the decoding process ended with status {code}"
        return f"the decoding process died of {signal.Signals(-code).name}"

    def _failure(self, error: BaseException | str) -> BaseException:
        if isinstance(error, BaseException):
            return error
        log.error("a decoding job raised\n%s", error)
        return VideoError("crashed", error.strip().splitlines()[-1])


class Team:
    """Workers side by side; a context manager. `memory_limit_mb`: MiB resident, each."""

    def __init__(self, workers: int, memory_limit_mb: int) -> None:
        self._workers = [Worker(memory_limit_mb) for _ in range(workers)]
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()

    def __enter__(self) -> Team:
        for worker in self._workers:
            self._idle.put(worker)
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.close()

    def map(self, work: Callable[[Worker, Item], T], items: Iterable[Item]) -> Iterator[T]:
        """`work(worker, item)` of each item, in order; at most one more than there are workers is waited for."""

        def with_worker(item: Item) -> T:
            worker = self._idle.get()
            try:
                return work(worker, item)
            finally:
                self._idle.put(worker)

        if len(self._workers) == 1:
            yield from map(with_worker, items)
            return
        pool, waiting = ThreadPoolExecutor(len(self._workers), "worker"), deque[Future[T]]()
        try:
            for item in items:
                waiting.append(pool.submit(with_worker, item))
                if len(waiting) > len(self._workers):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for (
                future
            ) in waiting:  # where one failed, or nobody wants more, nobody waits for the others
                if not future.done():
                    for worker in self._workers:
                        worker.stop()
            pool.shutdown()


def resident_bytes(pid: int | None) -> int:
    """Resident memory of a process; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * resource.getpagesize()


def _serve(connection: Connection, memory_limit_mb: int) -> None:
    """The child: answer jobs until the parent goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    _limit_address_space(memory_limit_mb)
    connection.send("ready")
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        connection.send(_outcome(function, arguments))


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[str, Any]:
    """("result", value), or ("error", exception to raise again, or the traceback of an unexpected one)."""
    try:
        return "result", function(*arguments)
    except MemoryError:
        return "error", VideoError("memory", "an allocation failed")
    except (VideoError, UserError) as error:
        return "error", error
    except OSError as error:
        # a plain one: libraries derive their own classes, whose constructors do not survive pickling
        return "error", OSError(error.errno, error.strerror or str(error), error.filename)
    except Exception:
        return "error", traceback.format_exc()


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Start a child that does not import the main module again, which a script without a guard would not survive."""
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    try:
        for name in kept:
            setattr(main, name, None)
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        parent = multiprocessing.parent_process()
        if parent is None or os.getppid() != parent.pid:
            os._exit(1)  # the parent was gone before the signal was set


def _limit_address_space(memory_limit_mb: int) -> None:
    """Twice the resident limit beyond what is mapped now: the watcher speaks first, except for one huge request."""
    try:
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return
    limit = mapped + 2 * memory_limit_mb * _MEBIBYTE
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
