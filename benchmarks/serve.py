"""Many people at the page of `mcn serve` at once: how long they wait, what fails, how much memory the server takes.

    python benchmarks/serve.py DIR --users 50 --seconds 60

Starts `mcn serve DIR` on the loopback address. Each user, a thread with a connection of its own, does what the page
does: a search in words drawn from the transcripts, the thumbnails of the first eight moments, the transcript of the
first one, and the first 256 KiB of its film. Then the user looks for `--pause` seconds. Prints a table of waiting times
by kind of request, and the peak of resident memory of the server and of its child processes.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import numpy as np

PART = 256 * 1024  # bytes of a film that a user reads at a time
THUMBNAILS = 8  # of a search


def main() -> int:
    """Serve, load, report; exit status 1 where a request failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path, help="folder that `mcn run` wrote")
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pause", type=float, default=1, help="seconds between two searches (1)")
    parser.add_argument("--server", help="command that serves DIR instead of `mcn serve DIR`")
    options = parser.parse_args()
    command = (options.server or f"{sys.executable} -m mcn serve").split()
    with subprocess.Popen(
        [*command, str(options.directory), "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            begun = time.monotonic()
            address = server.stdout.readline().strip()
            load = Load(urlsplit(address).netloc, options.pause)
            load.look()
            print(f"first answer, encoders loaded: after {time.monotonic() - begun:.1f} s")
            load.waits.clear()
            before = processor_seconds(server.pid)
            memory = Memory(server.pid)
            load.run(options.users, options.seconds)
            memory.stop()
            spent = processor_seconds(server.pid) - before
        finally:
            server.terminate()
    print(load.table(options.seconds))
    searches = max(1, len(load.waits["search"]))
    print(
        f"processor time of the server: {1000 * spent / searches:.0f} ms for a search and what follows it"
    )
    print(f"memory: {memory.peak / 2**20:.0f} MiB at most, {memory.processes} processes")
    for failure, number in load.failures.items():
        print(f"failed {number} times: {failure}")
    return 1 if load.failures else 0


class Load:
    """What users ask of the server at `host`, and how long each waited."""

    def __init__(self, host: str, pause: float) -> None:
        self._host, self._pause = host, pause
        self.waits: dict[str, list[float]] = defaultdict(list)
        self.failures: dict[str, int] = defaultdict(int)
        self._words = self._said()

    def look(self) -> None:
        """What one user does once."""
        self._look(http.client.HTTPConnection(self._host, timeout=120), random.Random(0))

    def run(self, users: int, seconds: float) -> None:
        """Let so many users work at once."""
        end = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self._user, args=(random.Random(number), end))
            for number in range(users)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def table(self, seconds: float) -> str:
        """Requests, requests a second, and the waiting times in milliseconds, by kind."""
        lines = [
            f"{'request':<12}{'number':>8}{'/s':>8}{'p50':>8}{'p95':>8}{'p99':>8}{'most':>8}  ms"
        ]
        for kind, waits in self.waits.items():
            p50, p95, p99, most = 1000 * np.percentile(waits, [50, 95, 99, 100])
            rate = len(waits) / seconds
            numbers = f"{p50:>8.0f}{p95:>8.0f}{p99:>8.0f}{most:>8.0f}"
            lines.append(f"{kind:<12}{len(waits):>8}{rate:>8.1f}{numbers}")
        return "\n".join(lines)

    def _said(self) -> list[str]:
        """Words of the transcripts, to look for."""
        connection = http.client.HTTPConnection(self._host, timeout=60)
        videos = json.loads(self._get(connection, "", "/api/videos?limit=200")[1])["videos"]
        found = {"person", "water", "hand", "table", "street", "animal"}
        for video in videos:
            path = f"/api/videos/{quote(video['video_id'], safe='')}/transcript"
            lines = json.loads(self._get(connection, "", path)[1])["lines"]
            found |= {word for line in lines for word in re.findall(r"\w{4,}", line["text"])}
        return sorted(found)

    def _user(self, chance: random.Random, end: float) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=60)
        time.sleep(chance.random() * self._pause)
        while time.monotonic() < end:
            self._look(connection, chance)
            time.sleep(self._pause * chance.uniform(0.5, 1.5))

    def _look(self, connection: http.client.HTTPConnection, chance: random.Random) -> None:
        words = " ".join(chance.choices(self._words, k=3))
        status, body = self._get(
            connection, "search", f"/api/search?{urlencode({'q': words, 'limit': 24})}"
        )
        results = json.loads(body)["results"] if status == 200 else []
        for moment in results[:THUMBNAILS]:
            if "video" in moment["streams"]:
                middle = (moment["start_seconds"] + moment["end_seconds"]) / 2
                path = f"{_video(moment)}/thumbnail?at={middle:.1f}"
                self._get(connection, "thumbnail", path)
        if results:
            self._get(connection, "transcript", f"{_video(results[0])}/transcript")
            film = f"{_video(results[0])}/media"
            self._get(connection, "film", film, {"Range": f"bytes=0-{PART - 1}"})

    def _get(
        self,
        connection: http.client.HTTPConnection,
        kind: str,
        path: str,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Ask, read it all, note how long it took ('' as kind: do not)."""
        begun = time.monotonic()
        try:
            connection.request("GET", path, headers=headers or {})
            reply = connection.getresponse()
            status, body = reply.status, reply.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.failures[f"{kind}: {type(error).__name__}"] += 1
            return 0, b""
        if kind:
            self.waits[kind].append(time.monotonic() - begun)
        if status >= 400:
            self.failures[f"{kind}: status {status} {body[:200]!r}"] += 1
        return status, body


def _video(moment: dict[str, str]) -> str:
    return f"/api/videos/{quote(moment['video_id'], safe='')}"


class Memory:
    """Resident memory of a process and its children, looked at twice a second."""

    def __init__(self, pid: int) -> None:
        self.peak, self.processes = 0, 0
        self._pid, self._ended = pid, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            pids = [self._pid, *_children(self._pid)]
            self.peak = max(self.peak, sum(map(_resident, pids)))
            self.processes = max(self.processes, len(pids))


def processor_seconds(pid: int) -> float:
    """What a process has spent so far, its children left out."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _resident(pid: int) -> int:
    """Proportional set size: what several processes share is counted once."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    sys.exit(main())
