"""The vector index: exact search equals brute force, approximate search finds nearly all of it, parts grow alone."""

import numpy as np
import pytest

from mcn.errors import DamagedShard, UserError
from mcn.search import approximate
from mcn.search.approximate import Lists, build
from mcn.search.vectors import VectorIndex, Windows, write_part

WIDTH = 24


def windows(seed: int, videos: int = 4, each: int = 30) -> Windows:
    rng = np.random.default_rng(seed)
    places = rng.standard_normal((videos, WIDTH))
    vectors = places.repeat(each, axis=0) + 0.6 * rng.standard_normal((videos * each, WIDTH))
    ids = [f"v{seed}_{number}" for number in range(videos)]
    starts = np.tile(2.0 * np.arange(each), videos)
    numbers = np.repeat(np.arange(videos), each)
    errors = [""] * videos + ["no_audio: none"]
    return Windows([*ids, "deaf"], errors, numbers, starts, starts + 4, vectors)


def parts(folder, seeds, **size):
    paths = [folder / f"{number:05d}.parquet" for number in range(len(seeds))]
    for path, seed in zip(paths, seeds, strict=True):
        write_part(path, {"seen": windows(seed, **size)}, {"window_seconds": 4})
    return paths


def brute_force(index, query, limit):
    values = np.concatenate([part.vectors for part in index.parts]).astype(float)
    scores = values @ query / np.linalg.norm(query)
    rows = sorted(range(len(scores)), key=lambda row: -scores[row])[:limit]
    return rows, scores[rows]


@pytest.mark.parametrize("above", [10, 10_000])
def test_exact_search_is_a_brute_force_search(tmp_path, monkeypatch, above):
    """With faiss (from 10 windows) and with NumPy."""
    monkeypatch.setattr("mcn.search.vectors.FAISS_ROWS", above)
    index = VectorIndex(parts(tmp_path, [1, 2, 3]), "seen")
    queries = np.random.default_rng(9).standard_normal((5, WIDTH))
    for query, found in zip(queries, index.search(queries, 7), strict=True):
        rows, scores = brute_force(index, query, 7)
        assert found.rows.tolist() == rows
        assert found.scores == pytest.approx(scores, abs=1e-5)
    place = found.rows[0]
    assert index.video_ids[index.videos[place]].startswith("v")
    assert index.ends[place] == index.starts[place] + 4
    assert index.errors == {"deaf": "no_audio: none"}


def test_only_allowed_windows_answer(tmp_path):
    index = VectorIndex(parts(tmp_path, [1, 2]), "seen")
    allowed = np.zeros(len(index), bool)
    allowed[[3, 200, 17]] = True
    (found,) = index.search(np.ones(WIDTH), 10, allowed)
    assert sorted(found.rows) == [3, 17, 200]
    assert len(index.search(np.ones(WIDTH), 10, ~allowed)[0].rows) == 10
    assert index.search(np.ones(WIDTH), 5, allowed & False)[0].rows.tolist() == []


def test_written_again_a_part_is_the_same_bytes_and_a_flipped_bit_is_found(tmp_path):
    (path,) = parts(tmp_path, [1])
    before = path.read_bytes()
    parts(tmp_path, [1])
    assert path.read_bytes() == before
    index = VectorIndex([path], "seen")
    assert np.linalg.norm(index.vectors(np.arange(5)), axis=1) == pytest.approx(
        np.ones(5), abs=1e-3
    )
    place = before.index(index.parts[0].starts.tobytes())
    path.write_bytes(before[:place] + b"\xff" + before[place + 1 :])
    with pytest.raises(DamagedShard):
        VectorIndex([path], "seen")


@pytest.mark.parametrize("above", [10, 10_000])
def test_no_flipped_bit_of_a_vector_changes_an_answer_unseen(tmp_path, monkeypatch, above):
    monkeypatch.setattr("mcn.search.vectors.FAISS_ROWS", above)
    (path,) = parts(tmp_path, [1])
    data = path.read_bytes()
    place = data.index(VectorIndex([path], "seen").parts[0].vectors.tobytes())
    for offset, bit in ((0, 0), (77, 3), (5000, 6)):
        changed = bytearray(data)
        changed[place + offset] ^= 1 << bit
        path.write_bytes(changed)
        index = VectorIndex([path], "seen")
        for _ in range(2):
            with pytest.raises(DamagedShard, match="not those that were written"):
                index.search(np.ones(WIDTH), 5)


def test_parts_of_other_recipes_and_queries_of_other_widths_are_errors(tmp_path):
    paths = parts(tmp_path, [1, 2])
    index = VectorIndex(paths, "seen")
    with pytest.raises(UserError, match="a query of width 3"):
        index.search(np.ones(3), 1)
    write_part(paths[1], {"seen": windows(2)}, {"window_seconds": 8})
    with pytest.raises(UserError, match="differ in recipe"):
        VectorIndex(paths, "seen")
    with pytest.raises(UserError, match="has seen"):
        VectorIndex(paths[:1], "heard")


def test_approximate_search_finds_nearly_all_and_grows_by_a_part(tmp_path, monkeypatch):
    monkeypatch.setattr(approximate, "_FEW", 100)
    monkeypatch.setattr(approximate, "QUERIES", 50)
    size = {"videos": 40, "each": 40}
    paths = parts(tmp_path / "parts", [1, 2, 3], **size)
    folder = tmp_path / "lists"
    made = build(VectorIndex(paths[:2], "seen"), folder)
    assert made["made"] == 2
    assert made["recall_at_10"] >= 0.95
    assert made["probes"] < made["cells"], "it looks everywhere"
    old = {path: path.stat().st_mtime_ns for path in folder.glob("*.lists")}
    index = VectorIndex(paths, "seen")
    with pytest.raises(UserError, match="no lists of the parts"):
        Lists(index, folder)
    assert build(index, folder)["made"] == 1
    assert {path: path.stat().st_mtime_ns for path in old} == old
    lists = Lists(index, folder)
    queries = index.vectors(np.arange(0, len(index), 97))
    allowed = index.videos % 2 == 0
    for mask in (None, allowed):
        near, exact = lists.search(queries, 10, mask), index.search(queries, 10, mask)
        shared = [len({*a.rows} & {*b.rows}) for a, b in zip(near, exact, strict=True)]
        assert np.mean(shared) > 9
        assert near[0].scores[0] == pytest.approx(exact[0].scores[0], abs=1e-5)
    write_part(paths[1], {"seen": windows(7, **size)}, {"window_seconds": 4})
    assert build(VectorIndex(paths, "seen"), folder)["made"] == 1
    assert len(list(folder.glob("*.lists"))) == 3
