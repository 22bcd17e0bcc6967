"""A fresh process for every piece of work, some at a time.

The process comes from a fork server that has imported the work's module and done nothing else, so that libraries with
hidden state (espeak-ng) start alike whatever ran before, and starting costs milliseconds.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any


def run_each(
    work: Callable[..., None], arguments: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[int]:
    """Call `work(*arguments[i])` in its own process, `workers` at a time; yields i as calls end.

    Errors: `RuntimeError` naming the arguments' first entry if a process fails; its traceback is on standard error.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])

    def run(one: tuple[Any, ...]) -> None:
        process = context.Process(target=work, args=one)
        process.start()
        process.join()
        if process.exitcode:
            raise RuntimeError(f"exit code {process.exitcode} from {work.__name__} of {one[0]}")

    with ThreadPoolExecutor(workers) as threads:
        running = {threads.submit(run, one): index for index, one in enumerate(arguments)}
        try:
            for done in as_completed(running):
                done.result()
                yield running[done]
        finally:
            threads.shutdown(cancel_futures=True)
