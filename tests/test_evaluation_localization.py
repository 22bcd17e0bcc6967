"""The dynamic programmes against brute force; recalls, average precision and chance by hand and by simulation."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mcn.evaluation.localization import metrics as localization
from mcn.evaluation.localization.metrics import (
    ScoredVideo,
    StepCounts,
    average_precision,
    chance_average_precision,
    decode_steps,
    recall_over_draws,
)

SIZES = st.integers(1, 4).flatmap(lambda k: st.tuples(st.integers(k, k + 4), st.just(k)))
SEEDS = st.integers(0, 2**32 - 1)


def drawn_scores(size: tuple[int, int], seed: int, tied: bool) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(-2, 3, size) * 1.0 if tied else generator.standard_normal(size)


def best_exactly_one(scores: np.ndarray) -> tuple[float, tuple[int, ...]]:
    """Best total, and of its placements the one with the earliest last step, then last but one, ..."""
    seconds, steps = scores.shape
    totals = {
        chosen: sum(scores[t, k] for k, t in enumerate(chosen))
        for chosen in itertools.combinations(range(seconds), steps)
    }
    best = max(totals.values())
    return best, min((c for c, v in totals.items() if v == best), key=lambda c: c[::-1])


def one_or_more(placed: np.ndarray) -> bool:
    """Whether the steps are runs of one or more seconds, in order."""
    labels = [int(np.argmax(row)) for row in placed if row.any()]
    runs = [placed[:, k].nonzero()[0] for k in range(placed.shape[1])]
    whole = all(len(run) and run[-1] - run[0] + 1 == len(run) for run in runs)
    return whole and labels == sorted(labels) and bool((placed.sum(axis=1) <= 1).all())


def best_one_or_more(scores: np.ndarray) -> float:
    seconds, steps = scores.shape
    best = -np.inf
    for labels in itertools.product(range(-1, steps), repeat=seconds):
        placed = np.zeros(scores.shape)
        for t, label in enumerate(labels):
            if label >= 0:
                placed[t, label] = 1
        if one_or_more(placed):
            best = max(best, float((placed * scores).sum()))
    return best


@settings(max_examples=150, deadline=None)
@given(SIZES, SEEDS, st.booleans())
def test_exactly_one_is_optimal(size: tuple[int, int], seed: int, tied: bool) -> None:
    scores = drawn_scores(size, seed, tied)
    placed = decode_steps(scores)
    assert placed.dtype == np.uint8
    assert (placed.sum(axis=0) == 1).all()
    seconds = placed.argmax(axis=0)
    assert (np.diff(seconds) > 0).all()
    best, chosen = best_exactly_one(scores)
    assert (placed * scores).sum() == pytest.approx(best)
    if tied:  # sums of integers are exact, so ties are
        assert tuple(seconds) == chosen


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3).flatmap(lambda k: st.tuples(st.integers(k, 6), st.just(k))),
    SEEDS,
    st.booleans(),
)
def test_one_or_more_is_optimal(size: tuple[int, int], seed: int, tied: bool) -> None:
    scores = drawn_scores(size, seed, tied)
    placed = decode_steps(scores, exactly_one=False)
    assert one_or_more(placed)
    assert (placed * scores).sum() == pytest.approx(best_one_or_more(scores))


@pytest.mark.parametrize("exactly_one", [True, False])
def test_as_many_seconds_as_steps(exactly_one: bool) -> None:
    for sign in (-1.0, 1.0):
        assert (decode_steps(np.full((5, 5), sign), exactly_one) == np.eye(5)).all()


@pytest.mark.parametrize("exactly_one", [True, False])
def test_ties_go_to_the_earliest_seconds(exactly_one: bool) -> None:
    assert (decode_steps(np.zeros((6, 3)), exactly_one) == np.eye(6, 3)).all()


def test_longer_steps_take_every_second_that_adds() -> None:
    scores = np.array([[-1, -9], [2, -9], [3, -9], [-1, -1], [-9, 4], [-9, 5]], float)
    expected = [[0, 0], [1, 0], [1, 0], [0, 0], [0, 1], [0, 1]]
    assert decode_steps(scores, exactly_one=False).tolist() == expected


def test_a_constant_per_step_changes_nothing() -> None:
    scores = np.random.default_rng(0).standard_normal((30, 6))
    assert (decode_steps(scores) == decode_steps(scores + np.arange(6) * 10)).all()


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (np.zeros((2, 3)), "2 seconds for 3 steps"),
        (np.zeros((3, 0)), "wanted \\(seconds, steps\\)"),
        (np.zeros(3), "wanted \\(seconds, steps\\)"),
        (np.array([[np.nan], [0.0]]), "1 NaN or infinite"),
        (np.array([[np.inf], [0.0]]), "1 NaN or infinite"),
    ],
)
def test_bad_scores(scores: np.ndarray, words: str) -> None:
    for exactly_one in (True, False):
        with pytest.raises(ValueError, match=words):
            decode_steps(scores, exactly_one)


def test_ten_minutes_take_milliseconds() -> None:
    scores = np.random.default_rng(0).standard_normal((600, 11))
    decode_steps(scores)
    start = time.process_time()
    for _ in range(20):
        decode_steps(scores)
    assert (time.process_time() - start) / 20 < 0.02


def test_recall_by_hand() -> None:
    truth = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]])
    predicted = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]])
    assert localization.recall(truth, predicted) == 0.5  # step 1 is not annotated, step 2 missed
    assert localization.recall(truth, truth) == 1.0
    with pytest.raises(ValueError, match="undefined"):
        localization.recall(np.zeros((2, 2)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="one shape"):
        localization.recall(np.zeros((2, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="scores"):
        localization.recall(np.ones((2, 2)), np.full((2, 2), 0.3))


def test_the_two_recalls_differ_where_videos_do() -> None:
    counts = [
        StepCounts("tea", 1, 1),
        StepCounts("tea", 0, 3),
        StepCounts("soup", 2, 4),
    ]
    assert localization.recall_per_video_then_task(counts).mean == pytest.approx((0.5 + 0.5) / 2)
    pooled = localization.recall_pooled_per_task(counts)
    assert pooled.tasks == {"soup": 0.5, "tea": 0.25}
    assert pooled.mean == pytest.approx(0.375)


@given(st.integers(1, 30), SEEDS, st.booleans())
def test_average_precision_is_that_of_scikit_learn(count: int, seed: int, tied: bool) -> None:
    generator = np.random.default_rng(seed)
    scores = drawn_scores((count, 1), seed, tied)[:, 0]
    truth = generator.integers(0, 2, count)
    truth[generator.integers(count)] = 1
    expected = average_precision_score(truth, scores)
    assert average_precision(truth, scores) == pytest.approx(expected)


@pytest.mark.parametrize(("positives", "total"), [(1, 1), (1, 6), (3, 6), (6, 6)])
def test_chance_average_precision_is_the_mean_of_all_orders(positives: int, total: int) -> None:
    values = []
    for chosen in itertools.combinations(range(total), positives):
        truth = np.isin(np.arange(total), chosen)
        values.append(average_precision(truth, -np.arange(total, dtype=float)))
    assert chance_average_precision(positives, total) == pytest.approx(np.mean(values))


def made_video(name: str, task: str, seconds: int, steps: int, seed: int) -> ScoredVideo:
    generator = np.random.default_rng(seed)
    truth = np.zeros((seconds, steps), np.uint8)
    for k in range(steps):
        truth[2 * k : 2 * k + 2, k] = 1
    return ScoredVideo(name, task, generator.standard_normal(truth.shape), truth, steps)


def test_evaluate_counts_lost_videos_as_mistakes() -> None:
    video = made_video("a", "tea", 8, 3, 0)
    perfect = ScoredVideo("a", "tea", video.truth * 1.0, video.truth, 3)
    assert localization.evaluate([perfect]) == {
        "recall": 100,
        "recall_pooled": 100,
        "recall_argmax": 100,
        "mean_average_precision": 100,
        "n": 1,
        "total": 1,
    }
    scores = localization.evaluate([perfect], [StepCounts("tea", 0, 1)])
    assert (scores["recall"], scores["recall_pooled"]) == (50, 75)
    assert (scores["n"], scores["total"]) == (1, 2)


def test_a_step_after_the_last_second_is_a_mistake() -> None:
    truth = np.array([[1, 0], [0, 0], [0, 0]])
    scores = localization.evaluate([ScoredVideo("a", "tea", truth * 1.0, truth, 2)])
    assert scores["recall"] == 50


@pytest.mark.parametrize("exactly_one", [True, False])
def test_chance_is_the_mean_over_random_scores(exactly_one: bool) -> None:
    videos = [made_video("a", "tea", 9, 4, 0), made_video("b", "tea", 8, 4, 1)]
    draws = []
    for seed in range(600):
        random = [
            made_video(v.video_id, v.task, *v.scores.shape, seed * 2 + i)
            for i, v in enumerate(videos)
        ]
        draws.append(localization.evaluate(random, exactly_one=exactly_one))
    expected = localization.chance(videos, exactly_one=exactly_one, draws=600, seed=7)
    for name in ("recall", "recall_pooled", "recall_argmax", "mean_average_precision"):
        assert np.mean([draw[name] for draw in draws]) == pytest.approx(expected[name], abs=3)


def test_chance_of_a_video_does_not_depend_on_the_others() -> None:
    one, other = made_video("a", "tea", 9, 4, 0), made_video("b", "soup", 9, 4, 1)
    alone = localization.chance_hits(one, True, 50, 3)
    assert alone != localization.chance_hits(other, True, 50, 3)  # same sizes, other draws
    assert localization.chance([one, other], draws=50, seed=3)["recall"] == pytest.approx(
        100 * (alone + localization.chance_hits(other, True, 50, 3)) / 8
    )


def test_videos_of_a_task_share_its_steps() -> None:
    videos = [made_video("a", "tea", 9, 4, 0), made_video("b", "tea", 9, 3, 0)]
    with pytest.raises(ValueError, match="b: 3 steps, but 4 in another video of task tea"):
        localization.evaluate(videos)


def test_normalising_over_steps_can_decode_differently() -> None:
    scores = np.array([[0.0, 5.0], [4.0, 6.0], [3.0, 0.0], [0.0, 1.0]])
    probabilities = localization.log_softmax(scores)
    assert np.exp(probabilities).sum(axis=1) == pytest.approx(np.ones(4))
    assert (decode_steps(probabilities) != decode_steps(scores)).any()


def test_recall_over_draws_of_training_videos() -> None:
    """Task a: of three videos one is left, hits 0, 1 or 2 of 2; task b has too few to be tested."""
    counts = [StepCounts("a", hits, 2) for hits in (0, 1, 2)] + [StepCounts("b", 1, 1)] * 2
    found = recall_over_draws(counts, training_videos=2, draws=3000, seed=0)
    assert found.mean == pytest.approx(0.5, abs=0.03)
    assert found.deviation == pytest.approx(np.sqrt(1 / 6), abs=0.02)
    assert found.videos == 1
    assert recall_over_draws(counts, 2, 5, seed=0) == recall_over_draws(counts, 2, 5, seed=0)
    every = recall_over_draws(counts, 1, 2000, seed=0)
    assert every.mean == pytest.approx((0.5 + 1.0) / 2, abs=0.02)
    assert np.isnan(recall_over_draws(counts, 5, 2, seed=0).mean)
