"""Places by bound equal those of scores that are all summed in float64: ties, near ties, and lengths of every size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mcn.evaluation.retrieval import places
from mcn.evaluation.retrieval.places import RankedGallery, places_of_scores

QUERIES, ITEMS = 60, 150


def normal(width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = ((QUERIES, width), (ITEMS, width))
    queries, items = (random.standard_normal(shape).astype(np.float32) for shape in shapes)
    return queries, items


def near(width: int, far: float) -> tuple[np.ndarray, np.ndarray]:
    """Items that differ from their neighbour in the last bits, and equal ones."""
    queries, items = normal(width)
    items[75:] = items[:75] * np.float32(1 + far)
    items[100:110] = items[25:35]
    return queries, items


def lengths(least: int) -> tuple[np.ndarray, np.ndarray]:
    """Queries from 2^least to 2^120: below 2^-126 they are denormal."""
    queries, items = normal(40)
    items[75:] = items[:75]
    powers = np.linspace(least, 120, QUERIES).astype(int)
    return np.ldexp(queries, powers[:, None]), items


def quantised() -> tuple[np.ndarray, np.ndarray]:
    queries, items = normal(9)
    return np.round(queries), np.round(items)


def with_zeros() -> tuple[np.ndarray, np.ndarray]:
    queries, items = normal(20)
    queries[::3] = 0
    items[::4] = 0
    return queries, items


def shifted() -> tuple[np.ndarray, np.ndarray]:
    """One column outweighs all others: every score is near every other."""
    queries, items = normal(30)
    queries[:, 0] = items[:, 0] = 3000
    return queries, items


def scaled(queries: float, items: float) -> tuple[np.ndarray, np.ndarray]:
    found = near(50, 0)
    return found[0] * np.float32(queries), found[1] * np.float32(items)


def wide(values: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Float64 whose last bits no float32 holds."""
    return values[0] * (1 + 1e-9), values[1] / 3.0


CASES: dict[str, tuple[tuple[np.ndarray, np.ndarray], bool]] = {  # and whether the bound decides
    "few columns": (normal(3), True),
    "several parts of columns": (near(1300, 0), True),
    "last bits": (near(64, 1e-7), True),
    "beyond float32's last bit": (wide(near(64, 3e-9)), True),
    "half precision": (tuple(one.astype(np.float16) for one in near(64, 0)), True),
    "quantised": (quantised(), False),
    "zeros": (with_zeros(), False),
    "all near": (shifted(), False),
    "long and short queries": (lengths(-110), True),
    "denormal queries": (lengths(-149), True),
    "long items": (scaled(1, 1e17), True),
    "too long items": (scaled(1, 1e25), False),
    "infinite scores": (scaled(1e25, 1e25), False),
    "short items": (scaled(1e-10, 1e-15), True),
    "vanishing items": (scaled(1, 1e-30), False),
}  # type: ignore[assignment]


def exact(queries: np.ndarray, items: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return (queries.astype(np.float64) @ items.astype(np.float64).T).astype(np.float32)


def pairs(several: bool) -> Any:
    rows = np.arange(QUERIES)
    found = [rows, rows]
    if several:
        found = [
            np.repeat(rows, 3),
            np.concatenate([[i, (i + 75) % ITEMS, ITEMS - 1 - i] for i in rows]),
        ]
    unique = np.unique(found, axis=1)
    return unique[0], unique[1]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_places_are_those_of_float64(
    name: str, several: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (queries, items), decided = CASES[name]
    own = pairs(several)
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = places_of_scores(exact(queries, items), own)
        # a twin of each item and the item itself are near: of so few items more than one in 64
        monkeypatch.setattr(places, "SHARE_OF_PAIRS", 1 / 12)
        found = RankedGallery(items)._places_by_bound(queries, own)
    assert (found is not None) == decided
    for gallery in (RankedGallery(items), RankedGallery(items, "cpu:0")):  # and as on a GPU
        again = gallery.places(queries, own)
        assert (again.higher == wanted.higher).all()
        assert (again.same == wanted.same).all()
    if found is not None:
        assert (found.higher == wanted.higher).all()
        assert (found.same == wanted.same).all()


@pytest.mark.parametrize("width", [1, 511, 513, 3000])
def test_no_product_is_further_off_than_the_bound(width: int) -> None:
    """Vectors of one sign, whose partial sums grow fastest."""
    queries, items = (np.abs(rows) for rows in normal(width))
    off = np.abs(RankedGallery(items)._products(queries) - queries.astype(np.float64) @ items.T)
    ends = places._lengths(queries)[:, None] * places._lengths(items)
    assert (off / ends).max() <= places.error_share(width)
    assert off.max() > 0


def test_nan_is_refused_wherever_it_stands() -> None:
    queries, items = normal(5)
    items[-1, 0] = np.nan
    for device in ("cpu", "cpu:0"):
        with pytest.raises(ValueError, match="NaN scores of 60 queries"):
            RankedGallery(items, device).places(queries, pairs(False))
