"""Intervals, tests and power of a study against other formulations, and on simulated data of known effect."""

import itertools

import numpy as np
import pytest
from scipy import stats

from mcn.study.statistics import (
    Components,
    Design,
    components,
    detectable,
    difference,
    holm,
    mean_squares,
    needed,
    power,
    share,
)


def drawn(rng, seeds, videos, parts, effect=0.0):
    a, b, e = (np.sqrt(one) for one in (parts.seeds, parts.videos, parts.rest))
    values = effect + a * rng.normal(size=(seeds, 1)) + b * rng.normal(size=(1, videos))
    return values + e * rng.normal(size=(seeds, videos))


def test_mean_squares_are_those_of_loops():
    values = np.random.default_rng(0).normal(size=(3, 7)) + np.arange(3)[:, None]
    mean, rows, columns = values.mean(), values.mean(axis=1), values.mean(axis=0)
    seeds = sum(7 * (row - mean) ** 2 for row in rows) / 2
    videos = sum(3 * (column - mean) ** 2 for column in columns) / 6
    rest = sum(
        (values[s, v] - rows[s] - columns[v] + mean) ** 2
        for s, v in itertools.product(range(3), range(7))
    )
    assert [float(one) for one in mean_squares(values)] == pytest.approx([seeds, videos, rest / 12])


@pytest.mark.parametrize("axis", [0, 1])
def test_one_seed_or_one_video_is_the_paired_t_test(axis):
    values = np.expand_dims(np.random.default_rng(1).normal(0.3, 1, 12), axis)
    found, wanted = difference(values), stats.ttest_1samp(values.ravel(), 0)
    interval = wanted.confidence_interval(0.95)
    assert found.value == pytest.approx(values.mean())
    assert found.p == pytest.approx(wanted.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.freedom == 11


def test_seeds_that_differ_much_leave_the_t_test_over_seeds():
    """Videos that agree and seeds that do not: five seeds are five numbers."""
    rng = np.random.default_rng(2)
    values = drawn(rng, 5, 400, Components(100.0, 0.0, 1.0))
    wanted = stats.ttest_1samp(values.mean(axis=1), 0)
    assert difference(values).p == pytest.approx(wanted.pvalue, rel=0.02)


def test_seeds_that_agree_leave_the_t_test_over_videos():
    rng = np.random.default_rng(3)
    values = drawn(rng, 5, 60, Components(0.0, 4.0, 0.1))
    wanted = stats.ttest_1samp(values.mean(axis=0), 0)
    assert difference(values).p == pytest.approx(wanted.pvalue, rel=0.02)


def test_the_error_is_that_of_a_crossed_bootstrap_of_many_seeds_and_videos():
    """Seeds and videos drawn with replacement; with many of each the bootstrap's small-sample bias is gone."""
    rng = np.random.default_rng(4)
    values = drawn(rng, 60, 80, Components(2.0, 3.0, 1.0))
    means = [
        values[np.ix_(rng.integers(60, size=60), rng.integers(80, size=80))].mean()
        for _ in range(3000)
    ]
    assert difference(values).error == pytest.approx(np.std(means), rel=0.05)


def test_nothing_to_tell_apart():
    assert difference(np.zeros((3, 4))).p == 1
    assert difference(np.ones((3, 4)))[:4] == (1, 1, 1, 0)
    for bad in (np.zeros((1, 1)), np.zeros(4), np.full((2, 2), np.nan)):
        with pytest.raises(ValueError, match="two at least"):
            difference(bad)


@pytest.mark.parametrize(
    "parts",
    [
        Components(0, 0, 1),
        Components(0.01, 0.05, 1),
        Components(0.05, 0.2, 1),
        Components(1, 0.2, 1),
    ],
)
def test_intervals_hold_the_effect_as_often_as_they_say(parts):
    """95 % of 2,000 studies, within what chance and few seeds allow; and as few false positives."""
    rng = np.random.default_rng(5)
    found = [difference(drawn(rng, 5, 40, parts, effect=0.7)) for _ in range(2000)]
    held = np.mean([one.low <= 0.7 <= one.high for one in found])
    assert 0.935 < held < 0.985
    design = Design(seeds=5, videos=40, level=0.05, simulations=4000)
    assert 0.02 < power(parts, 0.0, design) < 0.065


def test_percentile_bootstrap_of_five_seeds_is_too_narrow():
    """Why the intervals here are not those of a crossed bootstrap: they miss the effect three times as often."""
    rng, missed, ours = np.random.default_rng(6), 0, 0
    for _ in range(200):
        values = drawn(rng, 5, 40, Components(1.0, 0.2, 1.0))
        means = [
            values[np.ix_(rng.integers(5, size=5), rng.integers(40, size=40))].mean()
            for _ in range(300)
        ]
        low, high = np.quantile(means, [0.025, 0.975])
        missed += not low <= 0 <= high
        found = difference(values)
        ours += not found.low <= 0 <= found.high
    assert missed > 20 > ours


def test_power_of_one_factor_is_that_of_the_t_test():
    """Without a spread between seeds, and with videos as the only one, the noncentral t says the power."""
    parts, design = Components(0.0, 1.0, 1e-6), Design(5, 30, 0.05, 4000)
    for effect in (0.2, 0.5):
        shift, critical = effect * np.sqrt(30), stats.t.ppf(0.975, 29)
        wanted = stats.nct.sf(critical, 29, shift)
        assert power(parts, effect, design) == pytest.approx(wanted, abs=0.025)
    assert power(parts, 0.0, design) == pytest.approx(0.05, abs=0.015)


def test_what_is_detectable_and_what_would_suffice():
    parts, design = Components(1.0, 9.0, 100.0), Design(3, 40, 0.01, 1000)
    effect = detectable(parts, 0.8, design)
    assert power(parts, effect, design) >= 0.8 > power(parts, 0.9 * effect, design)
    seeds, videos = needed(parts, 0.8 * effect, 0.8, design)
    assert seeds > 3
    assert power(parts, 0.8 * effect, Design(seeds, 40, 0.01, 1000)) > 0.76
    assert videos is None or power(parts, 0.8 * effect, Design(3, videos, 0.01, 1000)) > 0.76
    assert needed(Components(100.0, 0.0, 1.0), 1.0, 0.8, design) == (None, None), (
        "videos do not help"
    )


def test_components_are_recovered():
    rng, wanted = np.random.default_rng(7), Components(2.0, 5.0, 20.0)
    found = components([drawn(rng, 4, 80, wanted) for _ in range(200)])
    for name in ("seeds", "videos", "rest"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=0.3)
    assert components([np.zeros((2, 5))]) == Components(0, 0, 0)


def test_shares_are_those_of_fieller():
    """One video: the paired t of ours - r others, solved as the quadratic that Fieller gave."""
    rng = np.random.default_rng(10)
    others = rng.normal(10, 1, (6, 1))
    ours = 0.4 * others + rng.normal(0, 1, (6, 1))
    found, t = share(ours, others), stats.t.ppf(0.975, 5)
    x, y = others.ravel(), ours.ravel()
    cov = np.cov(x, y) / 6
    a = x.mean() ** 2 - t**2 * cov[0, 0]
    b = -2 * (x.mean() * y.mean() - t**2 * cov[0, 1])
    c = y.mean() ** 2 - t**2 * cov[1, 1]
    low, high = np.sort(np.roots([a, b, c]))
    assert found.value == pytest.approx(y.mean() / x.mean())
    assert found.low == pytest.approx(low, abs=0.006)
    assert found.high == pytest.approx(high, abs=0.006)
    nothing = share(ours, np.array([[-1], [1.1], [-1], [1], [-1], [1]]))
    assert nothing.high is None, "a share of nothing has no end"


def by_rejection(p_values, level):
    """Holm's procedure as he wrote it: from the smallest p on, until one is too large."""
    rejected = set()
    for step, index in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[index] > level / (len(p_values) - step):
            break
        rejected.add(int(index))
    return rejected


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    rng = np.random.default_rng(8)
    for _ in range(50):
        p_values = rng.uniform(size=7) ** 3
        corrected = holm(p_values.tolist())
        for level in (0.01, 0.05, 0.2):
            found = {i for i, p in enumerate(corrected) if p <= level}
            assert found == by_rejection(p_values, level)


def test_a_family_without_effects_is_rarely_found_anything_in():
    """Six true null hypotheses a family: at least one false positive in 5 % of 600 families, no more."""
    rng, parts = np.random.default_rng(9), Components(0.05, 0.2, 1.0)
    wrong = [
        min(holm([difference(drawn(rng, 5, 30, parts)).p for _ in range(6)])) < 0.05
        for _ in range(600)
    ]
    assert np.mean(wrong) < 0.08
