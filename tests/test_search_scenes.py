"""Scenes of a video: they begin where its pictures change, and their lengths keep to what is wanted."""

import itertools

import numpy as np
import pytest

from mcn.search.scenes import rows_in, scenes


def shots(*lengths, noise=0.05, seed=0):
    """Rows of shots of these lengths, each around a direction of its own, in eight dimensions."""
    rng = np.random.default_rng(seed)
    middles = np.eye(8)[np.arange(len(lengths)) % 8]
    rows = np.repeat(middles, lengths, axis=0)
    return (rows + noise * rng.standard_normal(rows.shape)) * rng.uniform(1, 9, (len(rows), 1))


def test_scenes_begin_at_the_cuts():
    assert scenes(shots(5, 3, 12, 2), 0.5, 30, 2) == [(0, 5), (5, 8), (8, 20), (20, 22)]
    assert scenes(shots(40), 0.5, 100, 2) == [(0, 40)]


def test_a_slow_change_is_cut_as_well():
    angle = np.linspace(0, np.pi / 2, 60)
    found = scenes(np.stack([np.cos(angle), np.sin(angle)], axis=1), 0.5, 60, 2)
    assert 2 <= len(found) <= 6
    assert {one[0] for one in found[1:]} == {one[1] for one in found[:-1]}


def test_scenes_are_neither_longer_nor_shorter_than_wanted():
    found = scenes(shots(50, 1, 50), 0.5, 20, 3)
    assert (found[0][0], found[-1][1]) == (0, 101)
    assert all(one[1] == other[0] for one, other in itertools.pairwise(found))
    assert all(3 <= end - start <= 20 + 2 for start, end in found)
    assert scenes(shots(1), 0.5, 20, 3) == [(0, 1)], "a video may be shorter"
    assert scenes(np.zeros((0, 8)), 0.5, 20, 3) == []


def test_joining_is_that_of_a_plain_search_for_the_least_cost():
    rows = np.random.default_rng(1).standard_normal((40, 6))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    spans = [(i, i + 1) for i in range(len(unit))]

    def spread(start, end):
        part = unit[start:end]
        return ((part - part.mean(axis=0)) ** 2).sum()

    def cost(one, other):
        return spread(one[0], other[1]) - spread(*one) - spread(*other)

    while True:
        pairs = list(itertools.pairwise(spans))
        best = min(range(len(pairs)), key=lambda i: cost(*pairs[i]))
        if cost(*pairs[best]) > 1.2:
            break
        spans[best : best + 2] = [(pairs[best][0][0], pairs[best][1][1])]
    assert 1 < len(spans) < 40
    assert scenes(rows, 1.2, 40, 1) == spans


def test_rows_that_are_zero_are_a_scene_of_their_own():
    rows = shots(6, 6)
    rows[6:] = 0
    assert scenes(rows, 0.5, 30, 2) == [(0, 6), (6, 12)]


@pytest.mark.parametrize(
    ("seconds", "step", "rows"), [(2, 1, 2), (2, 0.25, 8), (1, 2, 1), (0.7, 0.1, 7)]
)
def test_seconds_are_counted_in_whole_rows(seconds, step, rows):
    assert rows_in(seconds, step) == rows
