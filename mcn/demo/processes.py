"""A fresh process for every piece of work, some at a time.

The process comes from a fork server that has imported the work's module and done nothing else, so that libraries with
hidden state (espeak-ng) start alike whatever ran before, and starting costs milliseconds.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, cast


def run_each(
    work: Callable[..., None], arguments: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[int]:
    """Call `work(*arguments[i])` in its own process, `workers` at a time; yields i as calls end.

    Errors: `RuntimeError` naming the arguments' first entry if a process fails; its traceback is on standard error.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])
    waiting = list(enumerate(arguments))[::-1]
    # One thread starts and joins all: two threads that look at one child may both read its exit status, and the
    # second is then told 255.
    running: dict[int, tuple[int, BaseProcess]] = {}  # sentinel -> index, process
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                index, one = waiting.pop()
                process: BaseProcess = context.Process(target=work, args=one)
                process.start()
                running[process.sentinel] = index, process
            for sentinel in wait(list(running)):
                index, process = running.pop(cast(int, sentinel))
                process.join()
                if process.exitcode:
                    name = arguments[index][0]
                    raise RuntimeError(
                        f"exit code {process.exitcode} from {work.__name__} of {name}"
                    )
                yield index
    finally:
        for _, process in running.values():
            process.kill()
            process.join()
