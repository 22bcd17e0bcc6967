"""Time of a query, of loading and of growing, and recall: exact search, our lists, and what users of autofaiss build.

    python benchmarks/search.py --windows 1800000 --width 384 --folder /tmp/index

Windows are drawn so that those of one video resemble each other. A query lies between two windows of different places.
Each engine is asked one query at a time, as `mcn search` and the page ask; p95 is over all queries. Brute force is a
product of a float32 matrix by NumPy and by PyTorch, and faiss's flat index. The rivals are an inverted file with
product quantisation and as many cells as ours (one index in one file, which a grown data set makes anew), and with
`--autofaiss PYTHON` what autofaiss, which clip-retrieval builds its indices with, makes of the same vectors by its
defaults. PYTHON has autofaiss installed: its pins contradict ours. `--autofaiss-windows` bounds what it gets, since it
chooses HNSW here, which takes hours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mcn.search.approximate import Lists, build
from mcn.search.vectors import VectorIndex, Windows, load_faiss, write_part

PART = 100_000  # windows of a part
VIDEO = 300  # windows of a video: ten minutes at 2 s
PLACES = 3000
BRUTE = 20  # queries that brute force is asked
AUTOFAISS = """
import json, sys, time
import faiss, numpy as np
from autofaiss import build_index
folder, threads = sys.argv[1], int(sys.argv[2])
begun = time.perf_counter()
build_index(folder + "/vectors", index_path=folder + "/knn.index", index_infos_path=folder + "/infos.json",
            metric_type="ip", nb_cores=threads, verbose=50)
built = time.perf_counter() - begun
begun = time.perf_counter()
index = faiss.read_index(folder + "/knn.index")
loaded = time.perf_counter() - begun
faiss.omp_set_num_threads(threads)
found, times = [], []
for query in np.load(folder + "/queries.npy"):
    begun = time.perf_counter()
    found.append(index.search(query[None], 10)[1][0].tolist())
    times.append(1000 * (time.perf_counter() - begun))
key = json.load(open(folder + "/infos.json"))["index_key"]
print(json.dumps({"key": key, "built": built, "loaded": loaded, "found": found, "times": times}))
"""


def main() -> None:
    """Build, ask, and print a line of JSON for each engine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=1_800_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--rivals", action="store_true", help="also faiss's flat index and an IVF-PQ"
    )
    parser.add_argument("--autofaiss", help="a Python that has autofaiss")
    parser.add_argument("--autofaiss-windows", type=int, default=100_000)
    chosen = parser.parse_args()
    load_faiss().omp_set_num_threads(chosen.threads)
    paths = write_parts(chosen.folder / "parts", chosen.windows, chosen.width)
    index, seconds = timed(lambda: VectorIndex(paths, "seen"))
    say("mapping the parts", seconds=seconds, windows=len(index))
    queries = draw_queries(index, chosen.queries)
    wanted = ask("exact, float16", lambda query: index.search(query, 10)[0].rows, queries, None)
    lists_of(index, paths, chosen.folder / "lists", chosen.threads, queries, wanted)
    if chosen.rivals:
        rivals(index, chosen.folder / "rival", queries, wanted)
    if chosen.autofaiss:
        few = VectorIndex(paths[: max(1, chosen.autofaiss_windows // PART)], "seen")
        autofaiss(chosen.autofaiss, chosen.folder / "autofaiss", few, queries, chosen.threads)
    if chosen.rivals:  # last, since PyTorch's threads would hold up those of faiss
        brute_force(index, chosen.threads, queries, wanted)


def write_parts(folder: Path, windows: int, width: int) -> list[Path]:
    """Parts of a synthetic index; those that are there stay."""
    places = np.random.default_rng(0).standard_normal((PLACES, width)).astype(np.float32)
    paths = []
    for number in range(-(-windows // PART)):
        path = folder / f"{number:05d}.parquet"
        paths.append(path)
        if path.exists():
            continue
        rng = np.random.default_rng(number + 1)
        count = min(PART, windows - number * PART)
        videos = np.arange(count) // VIDEO
        shown = places[rng.integers(0, PLACES, count // 10 + 1).repeat(10)[:count]]
        own = rng.standard_normal((videos.max() + 1, width)).astype(np.float32)[videos]
        noise = rng.standard_normal((count, width)).astype(np.float32)
        ids = [f"{number}_{video}" for video in range(videos.max() + 1)]
        starts = 2.0 * (np.arange(count) % VIDEO)
        vectors = shown + 0.7 * own + 0.7 * noise
        made = Windows(ids, [""] * len(ids), videos, starts, starts + 4, vectors)
        write_part(path, {"seen": made}, {"synthetic": True})
    return paths


def draw_queries(index: VectorIndex, count: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    one, other = (index.vectors(rng.integers(0, len(index), count)) for _ in range(2))
    return one + 0.5 * other


def lists_of(
    index: VectorIndex,
    paths: list[Path],
    folder: Path,
    threads: int,
    queries: np.ndarray,
    wanted: list[set[int]],
) -> None:
    """Build the lists of all parts but one, grow by the last one, load and ask."""
    fewer = VectorIndex(paths[:-1] or paths, "seen")
    made, seconds = timed(lambda: build(fewer, folder, threads))
    say("lists, built", seconds=seconds, recall_at_10=made["recall_at_10"], probes=made["probes"])
    _, seconds = timed(lambda: build(index, folder, threads))
    say("lists, grown by one part", seconds=seconds)
    lists, seconds = timed(lambda: Lists(VectorIndex(paths, "seen"), folder))
    say("lists, loaded with the parts", seconds=seconds)
    ask("lists", lambda query: lists.search(query, 10)[0].rows, queries, wanted)


def brute_force(
    index: VectorIndex, threads: int, queries: np.ndarray, wanted: list[set[int]]
) -> None:
    """All cosines by one product with a float32 matrix in memory."""
    import torch

    torch.set_num_threads(threads)
    matrix = np.concatenate([part.vectors.astype(np.float32) for part in index.parts])
    tensor = torch.from_numpy(matrix)

    def by_numpy(query: np.ndarray) -> np.ndarray:
        scores = matrix @ query[0]
        best = np.argpartition(-scores, 10)[:10]
        return best[np.argsort(-scores[best])]

    def by_torch(query: np.ndarray) -> np.ndarray:
        return np.asarray((tensor @ torch.from_numpy(query[0])).topk(10).indices)

    few = queries[:BRUTE], wanted[:BRUTE]
    ask("brute force, NumPy", by_numpy, *few)
    ask("brute force, PyTorch", by_torch, *few)


def autofaiss(
    python: str, folder: Path, index: VectorIndex, queries: np.ndarray, threads: int
) -> None:
    """What autofaiss builds by its defaults, beside our exact search over the same windows."""
    (folder / "vectors").mkdir(parents=True, exist_ok=True)
    matrix = np.concatenate([part.vectors.astype(np.float32) for part in index.parts])
    np.save(folder / "vectors" / "0.npy", matrix)
    np.save(folder / "queries.npy", queries)
    name = f"exact, float16, {len(index)} windows"
    wanted = ask(name, lambda query: index.search(query, 10)[0].rows, queries, None)
    command = [python, "-c", AUTOFAISS, str(folder), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    pairs = zip(said["found"], wanted, strict=True)
    recall = np.mean([len(right.intersection(rows)) / 10 for rows, right in pairs])
    p50, p95 = np.percentile(said["times"], [50, 95])
    times = {"built": said["built"], "loaded": said["loaded"], "p50_ms": p50, "p95_ms": p95}
    say(f"autofaiss, {len(index)} windows: {said['key']}", **times, recall_at_10=recall)


def rivals(index: VectorIndex, folder: Path, queries: np.ndarray, wanted: list[set[int]]) -> None:
    """faiss's own indexes over the same vectors."""
    faiss = load_faiss()
    folder.mkdir(parents=True, exist_ok=True)
    cells = int(2 ** np.floor(np.log2(1.5 * np.sqrt(len(index)))))  # as ours
    for name in (f"IVF{cells},PQ64x8", "Flat"):
        made = faiss.index_factory(index.width, name, faiss.METRIC_INNER_PRODUCT)

        def fill(made: Any = made) -> None:
            rng = np.random.default_rng(0)
            rows = np.sort(rng.choice(len(index), min(len(index), 40 * cells), replace=False))
            made.train(index.vectors(rows))
            for part in index.parts:
                made.add(part.vectors.astype(np.float32))

        _, seconds = timed(fill)
        say(f"rival {name}, built", seconds=seconds)
        path = folder / "index.faiss"
        faiss.write_index(made, str(path))
        del made
        loaded, seconds = timed(lambda path=path: faiss.read_index(str(path)))
        say(f"rival {name}, loaded", seconds=seconds, megabytes=path.stat().st_size >> 20)
        for probes in (16, 64) if name != "Flat" else (0,):
            if probes:
                loaded.nprobe = probes
            asked = f"rival {name}, {probes} probes"
            ask(asked, lambda query, one=loaded: one.search(query, 10)[1][0], queries, wanted)


def ask(
    name: str,
    search: Callable[[np.ndarray], np.ndarray],
    queries: np.ndarray,
    wanted: list[set[int]] | None,
) -> list[set[int]]:
    """Ask every query alone; what was found."""
    first = timed(lambda: search(queries[:1]))[1]
    found, times = [], []
    for query in queries:
        rows, seconds = timed(lambda query=query: search(query[None]))
        found.append(set(rows.tolist()))
        times.append(1000 * seconds)
    recall = np.mean([len(a & b) / 10 for a, b in zip(found, wanted or found, strict=True)])
    p50, p95 = np.percentile(times, [50, 95])
    say(name, first_ms=1000 * first, p50_ms=p50, p95_ms=p95, recall_at_10=recall)
    return found


def timed(do: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = do()
    return result, time.perf_counter() - start


def say(what: str, **values: Any) -> None:
    shown = {key: round(float(value), 3) for key, value in values.items()}
    print(json.dumps({"what": what, **shown}), flush=True)


if __name__ == "__main__":
    main()
