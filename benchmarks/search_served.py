"""Text queries of `mcn search` and `mcn serve` over a large synthetic index: waiting times, loading, memory.

    python -m benchmarks.search_served answers --folder /tmp/index --windows 1800000

`answers` is a folder of `mcn run` with the embedded encoders: its settings and its frozen pair are taken, and the index
of `benchmarks/search.py` (the same --folder) stands in for its own. Nothing is written into `answers`. The queries are
whole: the text is embedded, the index asked, hits joined to moments. Memory: the proportional set of the server with
its children, at most; what it maps of the index is counted apart, since the system takes those pages back when it
needs them.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.search import say, timed, write_parts
from benchmarks.serve import Memory
from mcn.files import write_json
from mcn.options.search import SearchOptions
from mcn.search.answers import Answers
from mcn.search.catalogue import join

WORDS = (
    "dog",
    "beach",
    "cutting",
    "onion",
    "moon",
    "water",
    "people",
    "dance",
    "red",
    "car",
    "street",
)


def main() -> None:
    """Make the folder, ask it in this process, and ask its page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("answers", type=Path, help="folder that `mcn run` wrote")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--windows", type=int, default=1_800_000)
    parser.add_argument("--queries", type=int, default=200)
    chosen = parser.parse_args()
    root = made(chosen.answers, chosen.folder, chosen.windows)
    answers, seconds = timed(lambda: Answers.open(root))
    first = timed(lambda: answers.search("a dog", sources=["seen"], weak=True))[1]
    say("opened in a process that has loaded its libraries", seconds=seconds, first_query=first)
    rng = np.random.default_rng(0)
    queries = [" ".join(rng.choice(WORDS, 4)) for _ in range(chosen.queries)]
    times = [
        1000 * timed(lambda one=one: answers.search(one, sources=["seen"], weak=True))[1]
        for one in queries
    ]
    say("text queries in one process", **_percentiles(times))
    _serve(root, queries)


def made(answers: Path, folder: Path, windows: int) -> Path:
    """A folder of answers whose index is the synthetic one."""
    root = folder / "answers"
    results = root / "results"
    settings = json.loads((answers / "results/settings.json").read_text(encoding="utf-8"))
    dataset, experiment = next(iter(settings["datasets"])), next(iter(settings["experiments"]))
    settings["datasets"] = {dataset: settings["datasets"][dataset]}
    parts = write_parts(folder / "parts", windows, 384)
    place = results / "index" / experiment / dataset
    place.mkdir(parents=True, exist_ok=True)
    for part in parts:
        if not (place / part.name).exists():
            (place / part.name).hardlink_to(part)
    lists = (
        folder / "lists"
    )  # of `benchmarks/search.py`, whose parts these are: they need not be made again
    if lists.exists() and not (place / "approximate").exists():
        shutil.copytree(lists, place / "approximate")
    _, seconds = timed(lambda: join(place, len(parts), SearchOptions(), 2))
    say("joined", seconds=seconds)
    write_json(results / "settings.json", settings)
    shutil.copytree(
        answers / "results/models" / experiment, results / "models" / experiment, dirs_exist_ok=True
    )
    ids = [one for part in parts for one in pq.read_table(part)["video_ids"].to_pylist()[0]]
    (results / dataset).mkdir(exist_ok=True)
    videos = pa.table({"video_id": ids, "path": [f"/none/{one}.mp4" for one in ids]})
    pq.write_table(videos, results / dataset / "videos.parquet")
    return root


def _serve(root: Path, queries: list[str]) -> None:
    command = [sys.executable, "-m", "mcn", "serve", str(root), "--port", "0"]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = urlsplit(server.stdout.readline().strip())
            up = time.perf_counter() - begun
            memory = Memory(server.pid)
            connection = http.client.HTTPConnection(address.netloc, timeout=120)
            times = [1000 * _asked(connection, one) for one in ["a dog", *queries]]
            memory.stop()
            rows = Path(f"/proc/{server.pid}/status").read_text().splitlines()
            status = {row.split(":")[0]: row.split()[1] for row in rows if "kB" in row}
            anonymous, mapped = (int(status[key]) >> 10 for key in ("RssAnon", "RssFile"))
        finally:
            server.terminate()
    say("mcn serve answers its address", seconds=up, first_query_ms=times[0])
    say("mcn serve, text queries", **_percentiles(times[1:]))
    say("memory of mcn serve, MB", peak=memory.peak >> 20, own=anonymous, mapped=mapped)


def _asked(connection: http.client.HTTPConnection, query: str) -> float:
    begun = time.perf_counter()
    connection.request("GET", f"/api/search?{urlencode({'q': query, 'limit': 24})}")
    reply = connection.getresponse()
    body = reply.read()
    assert reply.status == 200, body
    return time.perf_counter() - begun


def _percentiles(times: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(times, [50, 95])
    return {"p50_ms": p50, "p95_ms": p95}


if __name__ == "__main__":
    main()
