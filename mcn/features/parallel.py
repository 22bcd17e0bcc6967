"""Reading ahead in a thread, and working side by side with results in order."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

POLL_SECONDS = 0.1  # how soon the reading thread notices that nobody wants more

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Timing:
    """Where the seconds of a stage went; `network` is summed over the workers."""

    network: float = 0.0
    waiting: float = 0.0
    writing: float = 0.0
    vectors: int = 0
    media_seconds: float = 0.0


class ReadAhead(Iterator[Item]):
    """The items of `source`, read by a thread that begins at once and keeps `depth` of them ready.

    Its errors are raised here. The thread ends when the iterator is closed.
    """

    def __init__(self, source: Iterator[Item], depth: int) -> None:
        self._ready: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=depth)
        self._closed = threading.Event()
        words = (source, self._ready, self._closed)
        self._thread = threading.Thread(target=_read, args=words, name="read-ahead", daemon=True)
        self._thread.start()

    def __next__(self) -> Item:
        if self._closed.is_set():
            raise StopIteration
        kind, value = self._ready.get()
        if kind == "item":
            return value
        self.close()
        if kind == "error":
            raise value
        raise StopIteration

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join()


def _read(
    source: Iterator[Any], ready: queue.Queue[tuple[str, Any]], closed: threading.Event
) -> None:
    def put(kind: str, value: Any = None) -> None:
        while not closed.is_set():
            with contextlib.suppress(queue.Full):
                return ready.put((kind, value), timeout=POLL_SECONDS)

    try:
        for item in source:
            put("item", item)
            if closed.is_set():
                return
        put("end")
    except BaseException as error:
        put("error", error)


def in_order(
    items: Iterator[Item],
    work: Callable[[Item], Result],
    workers: int,
    timing: Timing,
    begin: Callable[[], None] | None = None,
) -> Iterator[tuple[Item, Result]]:
    """Each item with `work(item)`, in order, computed by `workers` threads while the caller goes on.

    begin: what each thread does first. `timing` gets the seconds inside `work`, and those in which no worker had
    anything to do for want of items.
    """

    def timed(item: Item) -> tuple[Result, float]:
        start = time.perf_counter()
        result = work(item)
        return result, time.perf_counter() - start

    running: deque[tuple[Item, Future[tuple[Result, float]]]] = deque()
    with ThreadPoolExecutor(workers, initializer=begin) as pool:
        while True:
            while len(running) <= workers:
                start, idle = time.perf_counter(), all(future.done() for _, future in running)
                item = next(items, None)
                timing.waiting += idle * (time.perf_counter() - start)
                if item is None:
                    break
                running.append((item, pool.submit(timed, item)))
            if not running:
                return
            first, future = running.popleft()
            result, seconds = future.result()
            timing.network += seconds
            yield first, result
