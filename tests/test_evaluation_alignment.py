"""Ordered alignment against brute force, and every named overlap by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcn.evaluation.alignment import programme as alignment
from mcn.evaluation.alignment.programme import align, align_items

SIZES = st.integers(1, 4).flatmap(lambda n: st.tuples(st.integers(n, n + 5), st.just(n)))


def all_paths(frames: int, items: int) -> list[np.ndarray]:
    """Every way to cut `frames` into `items` runs."""
    cuts = itertools.combinations(range(1, frames), items - 1)
    return [np.searchsorted(np.array(cut), np.arange(frames), side="right") for cut in cuts]


@settings(max_examples=150, deadline=None)
@given(SIZES, st.integers(0, 2**32 - 1), st.sampled_from(["real", "tied", "zero_probabilities"]))
def test_alignment_is_the_best_of_all_paths(size: tuple[int, int], seed: int, kind: str) -> None:
    frames, items = size
    generator = np.random.default_rng(seed)
    scores = generator.standard_normal((frames, 3))
    if kind != "real":
        scores = generator.integers(-2, 1, scores.shape) * 1.0
    if kind == "zero_probabilities":
        scores[scores == -2] = -np.inf
    transcript = generator.integers(0, 3, items)
    path = align_items(scores, transcript)
    assert path[0] == 0
    assert path[-1] == items - 1
    assert set(np.diff(path)) <= {0, 1}
    totals = [scores[np.arange(frames), transcript[p]].sum() for p in all_paths(frames, items)]
    total = scores[np.arange(frames), transcript[path]].sum()
    assert total == max(totals) or total == pytest.approx(max(totals))
    assert (align(scores, transcript) == transcript[path]).all()
    if kind == "tied":
        best = [
            p for p, v in zip(all_paths(frames, items), totals, strict=True) if v == max(totals)
        ]
        # items begin as early as possible, the last first: where frame by frame from the end the item is latest
        assert tuple(path[::-1]) == max(tuple(p[::-1]) for p in best)


def test_as_many_frames_as_items_and_a_class_twice() -> None:
    scores = np.zeros((3, 2))
    assert align(scores, np.array([1, 0, 1])).tolist() == [1, 0, 1]
    assert align_items(np.zeros((3, 2)), np.array([1, 1])).tolist() == [0, 1, 1]


def test_long_video_is_linear() -> None:
    generator = np.random.default_rng(0)
    transcript = np.array([3, 0, 1, 0, 2, 2, 0])
    truth = transcript[np.sort(np.append(np.arange(7), generator.integers(0, 7, 2993)))]
    scores = np.log(0.1 + 0.6 * (truth[:, None] == np.arange(4)))
    aligned = align(scores, transcript)
    assert alignment.frame_accuracy(truth, aligned) == 1


@pytest.mark.parametrize(
    ("scores", "transcript", "words"),
    [
        (np.zeros((2, 3)), [0, 1, 2], "2 frames for 3 items"),
        (np.zeros((3, 3)), [0, 3], "0 to 3, wanted 0 to 2"),
        (np.zeros((3, 3)), [-1], "wanted 0 to 2"),
        (np.zeros((3, 3)), [0.5], "class ids"),
        (np.zeros((3, 3)), [], "class ids"),
        (np.full((3, 3), np.nan), [0], "NaN"),
        (np.full((3, 3), np.inf), [0], "NaN or \\+inf"),
        (np.zeros(3), [0], "wanted \\(frames, classes\\)"),
    ],
)
def test_bad_input(scores: np.ndarray, transcript: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        align(scores, np.array(transcript))


TRANSCRIPT = np.array([5, 1, 5, 1])  # 5 is background
TRUTH = np.array([0, 0, 1, 1, 1, 1, 2, 2, 3, 3])
PREDICTED = np.array([0, 0, 0, 0, 1, 1, 2, 3, 3, 3])


def test_segmentwise_by_hand() -> None:
    # item 1: D = {4,5}, G = {2..5}: IoU 2/4, IoD 2/2; item 3: D = {7,8,9}, G = {8,9}: IoU 2/3, IoD 2/3
    found = alignment.segmentwise(TRUTH, PREDICTED, TRANSCRIPT, {5})
    assert found.iou == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found.iod == pytest.approx((1 + 2 / 3) / 2)


def test_classmask_by_hand() -> None:
    # class 1: G = {2..5, 8, 9}, D = {4, 5, 7, 8, 9}: shared 4, union 7, D 5
    truth, predicted = TRANSCRIPT[TRUTH], TRANSCRIPT[PREDICTED]
    found = alignment.classmask(truth, predicted, {5})
    assert found == pytest.approx((4 / 7, 4 / 5))
    # background: G = {0, 1, 6, 7}, D = {0..3, 6}: shared 3, union 6, D 5
    both = alignment.classmask(truth, predicted)
    assert both == pytest.approx(((4 / 7 + 3 / 6) / 2, (4 / 5 + 3 / 5) / 2))


def test_hull_by_hand() -> None:
    truth, predicted = TRANSCRIPT[TRUTH], TRANSCRIPT[PREDICTED]
    # true [2, 6): predicted [4, 6) IoU 2/4, IoD 1; true [8, 10): predicted [7, 10) IoU 2/3, IoD 2/3
    found = alignment.hull(truth, predicted, {5})
    assert found == pytest.approx(((2 / 4 + 2 / 3) / 2, (1 + 2 / 3) / 2))
    assert alignment.hull(np.array([0, 0, 1]), np.array([0, 0, 0])) == pytest.approx((1 / 3, 1 / 3))


def test_evaluate_names_every_variant() -> None:
    scores = alignment.evaluate(TRUTH, PREDICTED, TRANSCRIPT, {5})
    assert scores["IoU"] == pytest.approx(100 * (1 / 2 + 2 / 3) / 2)
    assert scores["frame_accuracy"] == pytest.approx(100 * 4 / 6)
    assert scores["frame_accuracy_with_background"] == pytest.approx(100 * 7 / 10)
    perfect = alignment.evaluate(TRUTH, TRUTH, TRANSCRIPT, {5})
    assert len(perfect) == 10
    assert set(perfect.values()) == {100.0}


def test_frames_without_an_item_are_background() -> None:
    # steps 1 and 2 without background between them: frames 2 and 5 belong to no item, frame 5 has no prediction either
    truth = np.array([0, 0, -1, 1, 1, -1])
    predicted = np.array([0, 0, 0, 1, 1, -1])
    scores = alignment.evaluate(truth, predicted, np.array([1, 2]))
    assert scores["IoU"] == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert scores["IoD"] == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert scores["frame_accuracy"] == 100
    assert scores["frame_accuracy_with_background"] == pytest.approx(100 * 5 / 6)
    assert scores["IoU_classmask_with_background"] == pytest.approx(100 * (2 / 3 + 1 + 1 / 2) / 3)


def test_frames_without_an_item_are_of_the_background_class() -> None:
    truth, predicted = np.array([0, 0, -1, 2]), np.array([0, 0, 1, 2])
    scores = alignment.evaluate(truth, predicted, np.array([3, 7, 4]), {7})
    assert set(scores.values()) == {100.0}


def test_an_item_without_a_true_frame_is_not_found() -> None:
    scores = alignment.evaluate(np.array([0, 0, 2, 2]), np.array([0, 1, 2, 2]), np.array([3, 4, 5]))
    assert scores["IoU"] == pytest.approx(100 * (1 / 2 + 0 + 1) / 3)
    assert scores["IoD"] == pytest.approx(100 * (1 + 0 + 1) / 3)


def test_what_is_no_item_or_no_frame() -> None:
    with pytest.raises(ValueError, match="wanted transcript items -1 to 3"):
        alignment.segmentwise(np.array([0, 4]), np.array([0, 1]), TRANSCRIPT)
    with pytest.raises(ValueError, match="truth of float64"):
        alignment.segmentwise(np.array([0.0, 1.0]), np.array([0, 1]), TRANSCRIPT)
    with pytest.raises(ValueError, match="one shape"):
        alignment.classmask(np.array([0, 1]), np.array([0]))
