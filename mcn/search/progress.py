"""One line that says how far Snakemake is: stage, shards, jobs, and the time that is left.

Conventions
-----------
- Everything that Snakemake says goes into a file; the line is made from its table of jobs and from the jobs that end.
- On a terminal the line is written over; elsewhere a line follows when the stage changes, every 5 s at most.
- Snakemake ends with the process that follows it, and its jobs with it (`mcn.lifetime`).
- The time left is that of the jobs so far, scaled to those that are left: rough, and said from the third job on.
"""

from __future__ import annotations

import ctypes
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcn.files import writing_explained

_COUNT = re.compile(r"^(\w+) +(\d+)$")
_DONE = re.compile(r"^Finished jobid: \d+ \(Rule: (\w+)\)")
_STEPS = re.compile(r"^(\d+) of (\d+) steps")
_FAILED = re.compile(r"^Error in rule (\w+)[,:]")

_PR_SET_PDEATHSIG = 1  # Linux prctl: signal sent to a process when its parent dies
SECONDS_TO_END = 60.0  # in which jobs that run may write a checkpoint
SECONDS_BETWEEN = 5.0  # of two lines where there is no terminal


def follow(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
    """Run Snakemake, show its progress, and return its exit status. log: the file of all that it says.

    Errors: `UserError` where the disk of the log is full.
    """
    progress = Progress()
    with writing_explained(log):
        log.parent.mkdir(parents=True, exist_ok=True)
    with (
        writing_explained(log),
        open(log, "w", buffering=1, encoding="utf-8") as file,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=dict(environment),
            preexec_fn=end_with_parent,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                file.write(line)
                progress.read(line.rstrip("\n"))
            status = process.wait()
        except BaseException:
            stop(process)
            raise
    progress.end()
    return status


def stop(process: subprocess.Popen[Any]) -> None:
    """End Snakemake, and read what it still says, since a full pipe would hold it up.

    On a full disk it may wait without end for a job whose end it could not note. Its jobs end with it (`mcn.lifetime`).
    """
    process.terminate()
    try:
        process.communicate(timeout=SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()


def end_with_parent() -> None:
    """Let the system kill this process, Snakemake, when what started it has died."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Progress:
    """The progress of one run of Snakemake, from its lines."""

    def __init__(self) -> None:
        self.jobs: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.total = 0
        self._stage = ""
        self._start = time.monotonic()
        self._shown = ""
        self._said = 0.0

    def read(self, line: str) -> None:
        """Take in a line that Snakemake says."""
        if counted := _COUNT.match(line):
            if counted[1] == "total":
                self.total = int(counted[2])
            else:
                self.jobs[counted[1]] = int(counted[2])
        elif ended := _DONE.match(line):
            self.done[ended[1]] += 1
            self._stage = ended[1]
        elif failed := _FAILED.match(line):
            self.failed[failed[1]] += 1
        elif steps := _STEPS.match(line):
            self.total = int(steps[2])
            self._show(int(steps[1]))

    def text(self, finished: int) -> str:
        """`decode_frames: 2 of 4 shards, 7 of 30 jobs, about 1:20 left`."""
        stage = self._stage
        parts = [f"{stage}: {self.done[stage]} of {self.jobs[stage] or 1} shards"]
        parts.append(f"{finished} of {self.total} jobs")
        if finished >= 3:
            left = (time.monotonic() - self._start) * (self.total - finished) / finished
            parts.append(f"about {int(left) // 60}:{int(left) % 60:02d} left")
        return ", ".join(parts)

    def _show(self, finished: int) -> None:
        text = self.text(finished)
        if sys.stdout.isatty():
            print(f"\r\x1b[K{text}", end="", flush=True)
        elif self._stage != self._shown and time.monotonic() - self._said > SECONDS_BETWEEN:
            print(text, flush=True)
            self._said = time.monotonic()
        self._shown = self._stage

    def end(self) -> None:
        """Leave the line, and name the rules of which jobs failed."""
        if sys.stdout.isatty() and self._shown:
            print()
        for rule, count in self.failed.items():
            print(f"{rule}: {count} jobs failed")
