"""Work on media files for the page, done in child processes: a few at a time, a few that wait, none twice.

Conventions
-----------
- Each of the threads owns one child (`mcn.media.isolation.Worker`), which is started when it is first needed.
- Who asks for a file that is being made waits for the same job. What failed is remembered, so that a broken video is
  not decoded again for every visitor; names hold the file's size and time, so that a replaced video is tried again.
- More than `waiting` jobs at once are refused (`Busy`).
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from mcn.errors import VideoError
from mcn.media.files import require_file
from mcn.media.isolation import Worker
from mcn.search.serve.file_cache import FileCache

T = TypeVar("T")

_REMEMBERED_FAILURES = 10_000


class Busy(Exception):
    """More was asked for at once than is worked on."""


class Children:
    """A few child processes that run functions on media files. `memory_limit_mb`: MiB resident, each."""

    def __init__(self, count: int, memory_limit_mb: int) -> None:
        self._memory_limit_mb = memory_limit_mb
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="children")
        self._own = threading.local()
        self._workers: list[Worker] = []
        self._closed = False

    async def run(self, function: Callable[..., T], *arguments: Any, seconds: float) -> T:
        """`function(*arguments)` in a child, within `seconds`. Errors: those of `Worker.run`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._run, function, arguments, seconds)

    def close(self) -> None:
        """End the children, whatever they are doing."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.close()

    def _run(self, function: Callable[..., T], arguments: tuple[Any, ...], seconds: float) -> T:
        if self._closed:
            raise VideoError("crashed", "the server is ending")
        worker: Worker | None = getattr(self._own, "worker", None)
        if worker is None:
            worker = self._own.worker = Worker(self._memory_limit_mb)
            self._workers.append(worker)
        try:
            return worker.run(function, *arguments, seconds=seconds)
        except Exception:
            if self._closed:  # the child was taken away in the midst of its work
                raise VideoError("crashed", "the server is ending") from None
            raise


class FileMaker:
    """Files made from videos by child processes and kept in a cache. `waiting`: jobs at once, working or waiting."""

    def __init__(self, cache: FileCache, children: Children, waiting: int) -> None:
        self.cache, self._children, self._waiting = cache, children, waiting
        self._jobs: dict[str, asyncio.Task[Path]] = {}
        self._failures: OrderedDict[str, VideoError] = OrderedDict()

    async def get(
        self, name: str, make: Callable[..., None], *arguments: Any, seconds: float
    ) -> Path:
        """The file `name`, made where it is not there by `make(*arguments, output)` within `seconds`.

        Errors: `Busy`; `VideoError` of this or an earlier try; `UserError` where the disk is full.
        """
        found = self.cache.find(name)
        if found is not None:
            return found
        return await asyncio.shield(self.start(name, make, *arguments, seconds=seconds))

    def start(
        self, name: str, make: Callable[..., None], *arguments: Any, seconds: float
    ) -> asyncio.Task[Path]:
        """Begin to make a file without waiting for it. Errors: `Busy`, `VideoError` of an earlier try."""
        if name in self._failures:
            raise self._failures[name]
        job = self._jobs.get(name)
        if job is None:
            if len(self._jobs) >= self._waiting:
                raise Busy
            job = asyncio.create_task(self._make(name, make, arguments, seconds))
            job.add_done_callback(_heard)
            self._jobs[name] = job
        return job

    async def _make(
        self, name: str, make: Callable[..., None], arguments: tuple[Any, ...], seconds: float
    ) -> Path:
        try:
            output = self.cache.path(name)
            await self._children.run(make, *arguments, output, seconds=seconds)
            return await asyncio.to_thread(self.cache.add, name)
        except VideoError as error:
            self._failures[name] = error
            if len(self._failures) > _REMEMBERED_FAILURES:
                self._failures.popitem(last=False)
            raise
        finally:
            del self._jobs[name]


def _heard(job: asyncio.Task[Path]) -> None:
    """Take note of how a job ended, so that asyncio does not complain where nobody waited for it."""
    if not job.cancelled():
        job.exception()


def made_name(path: Path, kind: str, suffix: str) -> str:
    """Name of a file made from a video: it changes with the video's place, size and time. Errors: `require_file`'s."""
    require_file(path)
    stat = path.stat()
    facts = f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{kind}"
    return hashlib.sha256(facts.encode("utf-8", "surrogateescape")).hexdigest()[:40] + suffix
