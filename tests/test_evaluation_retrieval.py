"""Ranks, recalls and chance against hand-worked cases, brute force and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mcn.evaluation import scores as products
from mcn.evaluation.retrieval import metrics as retrieval
from mcn.evaluation.retrieval.places import Pairs, RankedGallery

SMALL_SCORES = st.integers(1, 7).flatmap(
    lambda n: arrays(np.float32, (n, n), elements=st.integers(-2, 2).map(float))
)


def released_convention(scores: np.ndarray) -> dict[str, float]:
    """The released numbers of (N, N) scores, item i being the right one of query i."""
    own = np.diagonal(scores)[:, None]
    higher, same = (scores > own).sum(axis=1), (scores == own).sum(axis=1) - 1
    return retrieval.released_metrics(retrieval.Places(higher, same))


def test_recalls_of_howto100m_are_shares_of_all_tied_positions() -> None:
    """Its metrics.py in loops: every place of the sorted scores that equals the right one's score is counted."""
    generator = np.random.default_rng(0)
    for size in (1, 2, 7, 40):
        scores = np.round(generator.standard_normal((size, size)))
        positions = [
            place
            for query, row in enumerate(scores)
            for place, score in enumerate(sorted(row, reverse=True))
            if score == row[query]
        ]
        own = np.diagonal(scores)[:, None]
        places = retrieval.Places((scores > own).sum(axis=1), (scores == own).sum(axis=1) - 1)
        found = retrieval.released_metrics(places, of_positions=True)
        for k in (1, 5, 10):
            share = sum(place < k for place in positions) / len(positions)
            assert found[f"R@{k}"] == pytest.approx(100 * share)
        assert found["MedR"] == np.median(positions) + 1
    constant = retrieval.Places(np.zeros(50, int), np.full(50, 49))
    assert retrieval.released_metrics(constant, of_positions=True)["R@1"] == 2.0


def expected_position(row: np.ndarray, positive: int) -> float:
    """Mean position of one item over every order of equal scores, by listing the orders."""
    positions = []
    for order in itertools.permutations(range(len(row))):
        if all(row[a] >= row[b] for a, b in itertools.pairwise(order)):
            positions.append(order.index(positive))
    return float(np.mean(positions))


@settings(max_examples=40, deadline=None)
@given(SMALL_SCORES.filter(lambda scores: len(scores) <= 5))
def test_rank_is_the_mean_over_all_orders_of_equal_scores(scores: np.ndarray) -> None:
    found = retrieval.ranks(scores)
    for query, row in enumerate(scores):
        assert found[query] == pytest.approx(expected_position(row, query))


def test_golden_case() -> None:
    # ranks by hand: 0; one higher: 1; tied with one other: 0.5; last of four: 3
    scores = np.array([[9, 1, 2, 3], [5, 4, 1, 1], [0, 7, 7, 0], [4, 3, 2, 1]], float)
    assert retrieval.ranks(scores).tolist() == [0, 1, 0.5, 3]
    result = retrieval.evaluate(scores, total=8)
    assert result == {
        "R@1": 12.5,
        "R@5": 50.0,
        "R@10": 50.0,
        "MedR": 1.75,
        "MeanR": 2.125,
        "n": 4,
        "total": 8,
    }


def test_recall_at_1_needs_the_first_place_alone() -> None:
    scores = np.array([[1.0, 1.0], [0.0, 1.0]])
    assert retrieval.evaluate(scores)["R@1"] == 50.0


def test_constant_scores_are_no_better_than_the_middle() -> None:
    result = retrieval.evaluate(np.zeros((50, 50)))
    assert (result["R@1"], result["R@10"]) == (0.0, 0.0)
    assert result["MedR"] == result["MeanR"] == 25.5


def test_released_convention_counts_every_tie() -> None:
    result = released_convention(np.ones((50, 50)))
    assert result == {"R@1": 100.0, "R@5": 500.0, "R@10": 1000.0, "MedR": 25.5}


@given(arrays(np.float64, (6, 6), elements=st.floats(-1, 1), unique=True))
def test_released_convention_agrees_without_ties(scores: np.ndarray) -> None:
    ours, released = retrieval.evaluate(scores), released_convention(scores)
    assert {key: ours[key] for key in released} == pytest.approx(released)


def test_several_positives_take_the_best_among_the_others() -> None:
    scores = np.array([[3.0, 2.0, 5.0, 4.0], [1.0, 1.0, 1.0, 0.0]])
    # query 0: of {0, 3} item 3 is best, item 2 above; query 1: tied with item 2 only, item 1 being acceptable
    assert retrieval.ranks(scores, [{0, 3}, [0, 1]]).tolist() == [1, 0.5]
    assert retrieval.ranks(scores, [2, 3]).tolist() == [0, 3]
    assert retrieval.ranks(scores, np.array([2, 3])).tolist() == [0, 3]


@given(SMALL_SCORES, st.randoms(use_true_random=False))
def test_order_of_the_gallery_does_not_matter(scores: np.ndarray, random) -> None:  # type: ignore[no-untyped-def]
    order = list(range(len(scores)))
    random.shuffle(order)
    positives = [order.index(query) for query in range(len(scores))]
    assert (retrieval.ranks(scores[:, order], positives) == retrieval.ranks(scores)).all()


@given(SMALL_SCORES)
def test_positives_of_one_each_are_the_diagonal(scores: np.ndarray) -> None:
    assert (
        retrieval.ranks(scores, [[i] for i in range(len(scores))]) == retrieval.ranks(scores)
    ).all()


def test_blocks_do_not_change_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    queries = generator.standard_normal((70, 33)).astype(np.float32)
    gallery = generator.standard_normal((90, 33)).astype(np.float32)
    gallery[40:] = gallery[:50]  # exact ties, which float32 sums of other block shapes would split
    positives = [{i, (i * 7) % 90} for i in range(70)]
    whole = retrieval.ranks(products.dot_products(queries, gallery), positives)
    assert (whole % 1 == 0.5).any()
    for elements in (1, 100, 1000, 10_000):
        monkeypatch.setattr(products, "BLOCK_ELEMENTS", elements)
        assert (retrieval.places_from_embeddings(queries, gallery, positives).ranks == whole).all()
        with monkeypatch.context() as in_parts:
            in_parts.setattr(products, "KEPT_BYTES", 0)
            again = retrieval.places_from_embeddings(queries, gallery, positives)
        assert (again.ranks == whole).all()
        scores = products.dot_products(queries, gallery)
        assert (retrieval.ranks(scores, positives) == whole).all()


def test_only_a_block_of_scores_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "BLOCK_ELEMENTS", 1000)
    sizes: list[int] = []
    original = RankedGallery.places

    def counted(gallery: RankedGallery, queries: np.ndarray, own: Pairs) -> retrieval.Places:
        sizes.append(len(queries) * len(gallery.vectors))
        return original(gallery, queries, own)

    monkeypatch.setattr(RankedGallery, "places", counted)
    data = np.random.default_rng(0).standard_normal((300, 4))
    retrieval.places_from_embeddings(data, data)
    assert max(sizes) <= 1000


@pytest.mark.parametrize(
    ("scores", "positives", "total", "words"),
    [
        (np.zeros((2, 3)), None, None, "2 queries and 3 gallery"),
        (np.zeros(4), None, None, "wanted \\(queries, gallery\\)"),
        (np.array([[0.0, np.nan], [0.0, 0.0]]), None, None, "NaN scores in 1 rows, first row 0"),
        (np.zeros((2, 3)), [0], None, "positives of 1 queries, wanted 2"),
        (np.zeros((2, 3)), [0, 3], None, "from 0 to 3, wanted 0 to 2"),
        (np.zeros((2, 3)), [0, -1], None, "wanted 0 to 2"),
        (np.zeros((2, 3)), [0, []], None, "no positive for query 1"),
        (np.zeros((2, 3)), [0, 0.5], None, "integer"),
        (np.zeros((2, 2)), None, 1, "total 1 for 2"),
        (np.zeros((0, 0)), None, None, "total 0"),
    ],
)
def test_bad_input(scores, positives, total, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=words):
        retrieval.evaluate(scores, positives, total)


def test_nan_embeddings() -> None:
    with pytest.raises(ValueError, match="NaN"):
        retrieval.places_from_embeddings(np.full((2, 2), np.nan), np.ones((2, 2)))
    with pytest.raises(ValueError, match="wanted \\(Q, D\\)"):
        retrieval.places_from_embeddings(np.ones((2, 2)), np.ones((2, 3)))


def test_nothing_ranked_is_all_mistakes() -> None:
    result = retrieval.metrics(np.zeros(0), total=4)
    assert result["R@10"] == 0
    assert math.isnan(result["MedR"])
    assert (result["n"], result["total"]) == (0, 4)


def test_chance_of_the_published_sets() -> None:
    assert retrieval.chance(3350)["R@10"] == pytest.approx(100 * 10 / 3350)
    msrvtt = retrieval.chance(968, total=1000)
    assert msrvtt["R@1"] == pytest.approx(0.1)
    assert (msrvtt["MedR"], msrvtt["n"], msrvtt["total"]) == (484.5, 968, 1000)
    assert retrieval.chance(3)["R@10"] == 100


@pytest.mark.parametrize(("gallery", "counts"), [(7, [1] * 7), (8, [1] * 8), (9, [3, 1, 2, 2])])
def test_chance_is_the_mean_of_random_orders(gallery: int, counts: list[int]) -> None:
    generator = np.random.default_rng(1)
    positives = [list(range(count)) for count in counts]
    draws = np.array(
        [retrieval.ranks(generator.random((len(counts), gallery)), positives) for _ in range(3000)]
    )
    expected = retrieval.chance(gallery, positives_per_query=counts)
    for k in retrieval.RECALLS:
        share = 100 * retrieval.hits(draws, k).mean()
        assert share == pytest.approx(expected[f"R@{k}"], abs=1.5)
    assert draws.mean() + 1 == pytest.approx(expected["MeanR"], abs=0.1)
    assert np.median(draws) + 1 == pytest.approx(expected["MedR"], abs=0.51)


def test_interval_holds_the_recall_and_narrows() -> None:
    wide = retrieval.confidence_interval(np.arange(40.0), 10)
    narrow = retrieval.confidence_interval(np.tile(np.arange(40.0), 25), 10)
    assert wide[0] < 25 < wide[1]
    assert narrow[1] - narrow[0] < wide[1] - wide[0]
    # normal approximation: 25 +- 1.96 * sqrt(.25 * .75 / 1000)
    assert narrow == pytest.approx((22.3, 27.7), abs=0.3)
    assert retrieval.confidence_interval(np.arange(40.0), 10) == wide
    low, high = retrieval.confidence_interval(np.arange(40.0), 10, total=80)
    assert low < 12.5 < high < 25
