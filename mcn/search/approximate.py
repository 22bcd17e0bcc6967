"""Approximate search over a large index: inverted lists of faiss, one file a part, their recall measured.

Conventions
-----------
- The space is divided once into cells around centroids, which are trained on a sample of the windows. Each part then
  gets a file of its own that lists its windows by cell, 8 bits a component, and is memory-mapped. A query looks into
  the `probes` nearest cells of every part; the best of what lies there are compared again with their float16 vectors,
  so that the scores are those of exact search.
- A part that came or changed costs its own file; the cells are trained again when the windows have doubled since, and
  recall is measured again when a tenth of the windows has come or gone.
- `probes` is the smallest power of two that reaches `RECALL` of recall@10 against exact search. The queries of that
  measurement lie between two windows of different places each, since the vector of a text lies near no window either.
- Files: `{source}.cells` (an empty index that knows the cells), `{source}.json` (what was measured, the parts),
  `{shard}.{source}.{digest}.lists`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from mcn.errors import UserError
from mcn.files import atomic_path, canonical_json, write_json
from mcn.search.vectors import (
    Found,
    Part,
    VectorIndex,
    best_of,
    has_faiss,
    load_faiss,
    unit_queries,
)

log = logging.getLogger(__name__)

RECALL = 0.95  # of the ten best windows, wanted
QUERIES = 200  # of its measurement
REMEASURED = 0.1  # share of the windows that must have come or gone since
SAMPLE_PER_CELL = 48
ROUNDS = 8  # of k-means
CANDIDATES = 10  # compared again, for each window that is wanted
_ROW_BITS = 40  # a window's id: number of its part << 40 | row
_NAMED_ROWS = 256  # whose vectors are in the name of a part's lists, beside its size and its time
_BLOCK = 65_536  # windows listed at a time
_FEW = 50_000  # windows that may answer, up to which they are all compared


def build(index: VectorIndex, folder: Path, threads: int = 0) -> dict[str, Any]:
    """Make or bring up to date the lists of an index in a folder; returns what was measured.

    Returns: windows, cells, probes, recall_at_10, made (parts that were listed now). Errors: `UserError` without faiss.
    """
    faiss = require_faiss()
    if threads:
        faiss.omp_set_num_threads(threads)
    notes = _read(folder, index.source)
    cells = folder / f"{index.source}.cells"
    trained_on = notes.get("trained_on", 0)
    other = notes.get("recipe") != index.recipe
    trained = not cells.exists() or other or len(index) > 2 * trained_on
    if trained:
        _train(index, cells)
        trained_on = len(index)
        for path in folder.glob(f"*.{index.source}.*.lists"):
            path.unlink()
    names = [_name(part, index.source) for part in index.parts]
    made = [i for i, name in enumerate(names) if not (folder / name).exists()]
    for number in made:
        _list_part(cells, index.parts[number], folder / names[number])
    for path in folder.glob(f"*.{index.source}.*.lists"):
        if path.name not in names:
            path.unlink()
    found = {
        "windows": len(index),
        "trained_on": trained_on,
        "recipe": index.recipe,
        "parts": names,
        "probes": notes.get("probes", 1),
        "recall_at_10": notes.get("recall_at_10", 0.0),
        "measured_on": notes.get("measured_on", 0),
    }
    write_json(folder / f"{index.source}.json", found)
    lists = Lists(index, folder)
    changed = abs(len(index) - found["measured_on"]) > REMEASURED * len(index)
    if trained or changed:
        recall = _measure(index, lists)
        found |= {"probes": lists.probes, "recall_at_10": recall, "measured_on": len(index)}
    found["cells"] = lists.cells
    write_json(folder / f"{index.source}.json", found)
    log.info(
        "%s: %d windows in %d cells, %d probed: recall@10 %.3f of exact search; %d of %d parts listed now",
        *(index.source, len(index), lists.cells, lists.probes, found["recall_at_10"]),
        *(len(made), len(names)),
    )
    return {**found, "made": len(made)}


def require_faiss() -> Any:
    """The module faiss. Errors: `UserError` where it is not installed."""
    if not has_faiss():
        cure = "pip install 'mcn[search]'; or compare all windows: raise `search.exact_windows`"
        raise UserError("no package faiss", "the package faiss-cpu", cure)
    return load_faiss()


def _read(folder: Path, source: str) -> dict[str, Any]:
    try:
        found = json.loads((folder / f"{source}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _name(part: Part, source: str) -> str:
    """The file of a part's lists: its content and its recipe are in the name.

    Of the vectors the first ones alone, which lie side by side: rows from everywhere would be as many reads of a disk.
    """
    digest = hashlib.sha256(canonical_json(part.recipe).encode())
    for values in (part.videos, part.starts, part.vectors[:_NAMED_ROWS]):
        digest.update(np.ascontiguousarray(values).tobytes())
    stat = part.path.stat()
    digest.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
    return f"{part.path.stem}.{source}.{digest.hexdigest()[:16]}.lists"


def _train(index: VectorIndex, path: Path) -> None:
    """Cells for an index of this size, around centroids of k-means on a sample that is always the same."""
    faiss = load_faiss()
    cells = int(2 ** np.floor(np.log2(max(16.0, 1.5 * np.sqrt(len(index))))))
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(len(index), min(len(index), SAMPLE_PER_CELL * cells), replace=False))
    quantizer = faiss.IndexFlatIP(index.width)
    kind, metric = faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    empty = faiss.IndexIVFScalarQuantizer(quantizer, index.width, cells, kind, metric, False)
    empty.cp.niter, empty.cp.seed, empty.cp.spherical = ROUNDS, 0, True
    empty.cp.min_points_per_centroid = 1
    empty.train(index.vectors(rows))
    with atomic_path(path) as temporary:
        faiss.write_index(empty, str(temporary))


def _list_part(cells: Path, part: Part, path: Path) -> None:
    """Write the lists of one part; ids are the part's number and the row in it."""
    faiss = load_faiss()
    lists = faiss.read_index(str(cells))
    first = _number(part) << _ROW_BITS
    vectors = part.whole()
    for start in range(0, len(vectors), _BLOCK):
        values = vectors[start : start + _BLOCK].astype(np.float32)
        lists.add_with_ids(values, np.arange(start, start + len(values)) + first)
    with atomic_path(path) as temporary:
        faiss.write_index(lists, str(temporary))


def _number(part: Part) -> int:
    return int(part.path.stem)


class Lists:
    """The lists of every part of an index, mapped and searched as one."""

    def __init__(self, index: VectorIndex, folder: Path) -> None:
        """Open what `build` made. Errors: `UserError` where it is missing or was made of other parts."""
        faiss = require_faiss()
        self.index = index
        notes = _read(folder, index.source)
        names = [_name(part, index.source) for part in index.parts]
        if notes.get("parts") != names:
            got = f"{folder}: no lists of the parts that there are now"
            raise UserError(got, "lists of these parts", "run `mcn run` or snakemake again")
        self.probes: int = notes["probes"]
        self._whole = faiss.read_index(str(folder / f"{index.source}.cells"))
        flags = faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY
        self._parts = [faiss.read_index(str(folder / name), flags) for name in names]
        pointers = faiss.InvertedListsPtrVector()
        for part in self._parts:
            pointers.push_back(part.invlists)
        self._stack = faiss.HStackInvertedLists(pointers.size(), pointers.data())
        self._whole.replace_invlists(self._stack, False)
        self._whole.ntotal = len(index)
        self.cells: int = self._whole.nlist
        numbers = [_number(part) for part in index.parts]
        self._first = np.zeros(max(numbers, default=0) + 1, np.int64)
        self._first[numbers] = index.bounds[:-1]

    def search(
        self, queries: np.ndarray, limit: int, allowed: np.ndarray | None = None
    ) -> list[Found]:
        """As `VectorIndex.search`, of which it finds most; all of it where few windows are allowed."""
        fraction = 1.0 if allowed is None else float(allowed.mean())
        if fraction * len(self.index) <= _FEW:
            return self.index.search(queries, limit, allowed)
        queries = unit_queries(queries, self.index.width)
        self._whole.nprobe = self.probes
        _, ids = self._whole.search(queries, int(CANDIDATES * limit / fraction))
        return [
            self._compared(query, one[one >= 0], limit, allowed)
            for query, one in zip(queries, ids, strict=True)
        ]

    def _compared(
        self, query: np.ndarray, ids: np.ndarray, limit: int, allowed: np.ndarray | None
    ) -> Found:
        """The best of some candidates by their exact scores."""
        rows = np.sort(self._first[ids >> _ROW_BITS] + (ids & ((1 << _ROW_BITS) - 1)))
        if allowed is not None:
            rows = rows[allowed[rows]]
        if not len(rows):
            return Found(rows, np.zeros(0, np.float32))
        best = best_of(self.index.vectors(rows) @ query, min(limit, len(rows)))
        return Found(rows[best.rows], best.scores)


def _measure(index: VectorIndex, lists: Lists) -> float:
    """Set the number of probes; the recall@10 that it reaches against exact search."""
    rng = np.random.default_rng(0)
    one, other = (index.vectors(rng.integers(0, len(index), QUERIES)) for _ in range(2))
    queries = one + 0.5 * other
    exact = [set(found.rows.tolist()) for found in index.search(queries, 10)]
    recall = 0.0
    for power in range(int(np.log2(lists.cells)) + 1):
        lists.probes = 2**power
        near = lists.search(queries, 10)
        hits = [
            len(wanted.intersection(found.rows.tolist())) / max(1, len(wanted))
            for wanted, found in zip(exact, near, strict=True)
        ]
        recall = float(np.mean(hits))
        if recall >= RECALL:
            break
    return recall
