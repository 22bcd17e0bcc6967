"""Cross-modal retrieval: rank every gallery item for every query, count how often the right one comes near the top.

Conventions
-----------
- `similarity` is (Q, G): row i holds the scores of query i with the gallery, higher is better. Without `positives`
  the matrix is square and item i is the one right answer of query i.
- `positives` gives each query's acceptable gallery indices: an int, or a list or set of ints. The query's rank is
  that of its best acceptable item among all items that are not acceptable.
- A rank is 0-based: the number of items that score strictly higher plus half of the others that score the same, the
  mean of the tied positions. A constant matrix therefore scores like chance, not like a perfect or a lost query.
- A query counts at k = 1 when its rank is exactly 0, at any other k when its rank is < k.
- `total` is the number of queries of the benchmark. Queries that are not in the matrix (a clip without audio, a video
  that is gone) count as errors: recalls are percent of `total`. `n` is the number of queries ranked.
- MedR and MeanR are 1-based, over the ranked queries only (NaN where there is none).
- NaN scores and wrong shapes raise ValueError. Infinite scores compare as numbers do.

Metrics
-------
- `ranks`, `places_from_embeddings`: the ranks; the latter in blocks, the similarity matrix is never whole in memory.
- `metrics`: R@1, R@5, R@10, MedR, MeanR, n, total of given ranks; `evaluate` does both.
- `chance`: the exact expectation of the same numbers when the order is random.
- `confidence_interval`: bootstrap interval of a recall.
- `released_metrics`: what the published code computes instead. Never report these numbers as results.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from mcn.evaluation.retrieval.places import Pairs, Places, RankedGallery, places_of_scores
from mcn.evaluation.scores import block_rows

Positives = Sequence[int | Collection[int]] | np.ndarray
RECALLS = (1, 5, 10)


def validate(
    similarity: np.ndarray, positives: Positives | None = None, total: int | None = None
) -> None:
    """Raise ValueError, saying what was got and wanted, unless the arguments fit `evaluate`."""
    if similarity.ndim != 2:
        raise ValueError(f"got similarity of shape {similarity.shape}, wanted (queries, gallery)")
    _validate_pairing(similarity.shape[0], similarity.shape[1], positives)
    validate_total(similarity.shape[0], total)
    if np.isnan(similarity).any():
        bad = np.flatnonzero(np.isnan(similarity).any(axis=1))
        raise ValueError(f"got NaN scores in {len(bad)} rows, first row {bad[0]}; wanted numbers")


def ranks(similarity: np.ndarray, positives: Positives | None = None) -> np.ndarray:
    """0-based ranks (Q,) float64 of the queries of (Q, G) scores, ties averaged (see Conventions)."""
    similarity = np.asarray(similarity)
    validate(similarity, positives)

    def count(block: slice, own: Pairs) -> Places:
        return places_of_scores(similarity[block], own)

    return _places(similarity.shape, positives, count).ranks


def places_from_embeddings(
    queries: np.ndarray,
    gallery: np.ndarray,
    positives: Positives | None = None,
    device: str = "cpu",
) -> Places:
    """Places by dot product of (Q, D) queries with a (G, D) gallery, in blocks of queries; products on `device`.

    Its ranks equal `ranks(dot_products(queries, gallery), positives)` without ever holding more than
    `mcn.evaluation.scores.BLOCK_ELEMENTS` scores. NaN: ValueError.
    """
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        got = f"queries {queries.shape} and gallery {gallery.shape}"
        raise ValueError(f"got {got}, wanted (Q, D) and (G, D)")
    _validate_pairing(len(queries), len(gallery), positives)

    items = RankedGallery(gallery, device)

    def count(block: slice, own: Pairs) -> Places:
        return items.places(queries[block], own)

    return _places((len(queries), len(gallery)), positives, count)


def metrics(found: np.ndarray, total: int | None = None) -> dict[str, float]:
    """R@1, R@5, R@10 (percent of `total`), MedR, MeanR (1-based), n and total of 0-based ranks `found` (n,)."""
    total = validate_total(len(found), total)
    scores: dict[str, float] = {
        f"R@{k}": 100.0 * int(hits(found, k).sum()) / total for k in RECALLS
    }
    scores["MedR"] = float(np.median(found)) + 1 if len(found) else float("nan")
    scores["MeanR"] = float(np.mean(found)) + 1 if len(found) else float("nan")
    return {**scores, "n": len(found), "total": total}


def hits(found: np.ndarray, k: int) -> np.ndarray:
    """Which 0-based ranks (n,) count at `k`: bool (n,). At k = 1 a shared first place does not count."""
    return found == 0 if k == 1 else found < k


def released_metrics(
    places: Places, total: int | None = None, of_positions: bool = False
) -> dict[str, float]:
    """What AVLnet's and MCN's published `metrics.py` prints: recalls (percent of `total`) and MedR.

    For labelled comparison only. Every position tied with a query's one acceptable item enters the sums, so that a
    constant (N, N) matrix has R@10 = 1000 %; without ties the numbers are those of `metrics`. As there, queries that
    were not ranked count in `total` but not in MedR. of_positions: recalls are percent of these positions instead, as
    HowTo100M's `metrics.py` has it.
    """
    total = validate_total(len(places.higher), total)
    first, tied = places.higher, places.same + 1
    divisor = int(tied.sum()) if of_positions and len(tied) else total
    scores = {f"R@{k}": 100.0 * int(np.clip(k - first, 0, tied).sum()) / divisor for k in RECALLS}
    offsets = np.arange(tied.sum()) - np.repeat(np.cumsum(tied) - tied, tied)
    positions = np.repeat(first, tied) + offsets
    return {**scores, "MedR": float(np.median(positions)) + 1 if len(positions) else float("nan")}


def evaluate(
    similarity: np.ndarray, positives: Positives | None = None, total: int | None = None
) -> dict[str, float]:
    """All metrics of a score matrix: (N, N), or (Q, G) with `positives`; percent of `total` (default: Q).

    >>> evaluate(np.array([[2.0, 1.0], [3.0, 3.0]]))["R@1"]
    50.0
    """
    return metrics(ranks(similarity, positives), total)


def chance(
    n_gallery: int, total: int | None = None, positives_per_query: Sequence[int] | None = None
) -> dict[str, float]:
    """The same metrics in expectation over random orders of the gallery (exact, no simulation).

    Args: `positives_per_query` the number of acceptable items of each ranked query; default: one query an item with
    one acceptable item each. `total` as in `evaluate`. MedR is the median of the rank's distribution over all queries.
    """
    counts = (
        np.ones(n_gallery, int) if positives_per_query is None else np.asarray(positives_per_query)
    )
    total = validate_total(len(counts), total)
    if counts.size == 0 or counts.min() < 1 or counts.max() > n_gallery:
        raise ValueError(f"got {counts} acceptable items a query, wanted 1 to {n_gallery} each")
    sizes, weights = np.unique(counts, return_counts=True)
    # within[r]: share of queries whose best acceptable item is among the first r + 1
    within = np.zeros(n_gallery)
    places = np.arange(n_gallery)
    for size, weight in zip(sizes, weights, strict=True):
        misses = np.ones(n_gallery)
        for taken in range(size):  # hypergeometric: none of `size` items among r + 1 of n_gallery
            misses *= np.maximum(n_gallery - 1 - places - taken, 0) / (n_gallery - taken)
        within += weight / len(counts) * (1 - misses)
    scores = {
        f"R@{k}": 100.0 * len(counts) / total * float(within[min(k, n_gallery) - 1])
        for k in RECALLS
    }
    below, above = np.argmax(within >= 0.5 - 1e-12), np.argmax(within > 0.5 + 1e-12)
    scores["MedR"] = 1 + (float(below) + float(above)) / 2
    scores["MeanR"] = float(np.mean((n_gallery + 1) / (counts + 1)))
    return {**scores, "n": len(counts), "total": total}


def confidence_interval(
    found: np.ndarray,
    k: int,
    total: int | None = None,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval (percent) of R@k, resampling the `total` queries, missing ones included.

    Queries are taken as independent; drawing `total` of them with replacement makes the hits binomial.
    """
    total = validate_total(len(found), total)
    share = int(hits(found, k).sum()) / total
    recalls = 100.0 * np.random.default_rng(seed).binomial(total, share, draws) / total
    low, high = np.quantile(recalls, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _validate_pairing(queries: int, gallery: int, positives: Positives | None) -> None:
    if positives is None:
        if queries != gallery:
            raise ValueError(
                f"got {queries} queries and {gallery} gallery items, wanted equally many, or `positives`"
            )
        return
    if len(positives) != queries:
        raise ValueError(
            f"got positives of {len(positives)} queries, wanted {queries}, one entry each"
        )
    rows, columns = _flat_positives(queries, positives)
    empty = np.setdiff1d(np.arange(queries), rows)
    if len(empty):
        raise ValueError(f"got no positive for query {empty[0]}, wanted at least one")
    if len(columns) and not (columns.min() >= 0 and columns.max() < gallery):
        raise ValueError(
            f"got positives from {columns.min()} to {columns.max()}, wanted 0 to {gallery - 1}"
        )


def validate_total(found: int, total: int | None) -> int:
    wanted = found if total is None else total
    if wanted < max(1, found):
        raise ValueError(
            f"got total {wanted} for {found} ranked queries, wanted at least as many, and 1"
        )
    return wanted


def _flat_positives(queries: int, positives: Positives | None) -> tuple[np.ndarray, np.ndarray]:
    """Query and gallery index of every acceptable pair, ordered by query."""
    if positives is None:
        return np.arange(queries), np.arange(queries)
    lists = [sorted(p) if isinstance(p, Collection) else [p] for p in positives]
    rows = np.repeat(np.arange(queries), [len(p) for p in lists])
    columns = np.array([column for p in lists for column in p])
    if len(columns) and not np.issubdtype(columns.dtype, np.integer):
        raise ValueError(f"got positives of type {columns.dtype}, wanted integer gallery indices")
    return rows, columns.astype(np.int64)


def _places(
    shape: tuple[int, ...], positives: Positives | None, count: Callable[[slice, Pairs], Places]
) -> Places:
    """Places of all queries of a (Q, G) matrix of scores, `count` giving those of one block of queries."""
    rows, columns = _flat_positives(shape[0], positives)
    places = Places(np.zeros(shape[0], np.int64), np.zeros(shape[0], np.int64))
    step = block_rows(shape[1])
    for start in range(0, shape[0], step):
        block = slice(start, min(start + step, shape[0]))
        low, high = np.searchsorted(rows, [block.start, block.stop])
        own = np.unique([rows[low:high] - start, columns[low:high]], axis=1)
        places.higher[block], places.same[block] = count(block, (own[0], own[1]))
    return places
