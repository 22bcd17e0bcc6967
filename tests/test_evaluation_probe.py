"""The linear probe of steps against a system of equations written out, and on segments that can and cannot be told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcn.errors import UserError
from mcn.evaluation.recognition.probe import commonest_of_others, folds_of, probe
from mcn.evaluation.stage import run_evaluation
from mcn.options.evaluation import OwnEvaluation, ProbeOptions
from tests.evaluation_set import EvaluationSet, evaluated, make_set

OWN = {"evaluate": "mcn.evaluation.recognition.probe:evaluate", "tables": ["tasks", "steps"]}


@pytest.mark.parametrize("width", [3, 30])
def test_the_map_is_a_ridge_regression_on_the_other_videos(width: int) -> None:
    """Least squares of the stacked system [X; sqrt(n r) I] W = [Y; 0], in both shapes of X."""
    generator = np.random.default_rng(0)
    vectors, labels = generator.standard_normal((12, width)), generator.integers(4, size=12)
    folds = np.arange(12) % 3
    found = probe(vectors, labels, folds, 4, 0.1)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for item in range(12):
        known = folds != folds[item]
        x, y = unit[known], np.eye(4)[labels[known]]
        centre, shares = x.mean(axis=0), y.mean(axis=0)
        penalty = np.sqrt(known.sum() * 0.1) * np.eye(width)
        system = (
            np.concatenate([x - centre, penalty]),
            np.concatenate([y - shares, np.zeros((width, 4))]),
        )
        weights = np.linalg.lstsq(*system, rcond=None)[0]
        np.testing.assert_allclose(found[item], (unit[item] - centre) @ weights + shares, atol=1e-6)


def test_a_video_is_scored_by_others_alone() -> None:
    videos = np.repeat(np.arange(7), 3)
    folds = folds_of(videos, ProbeOptions(folds=3))
    assert all(len(set(folds[videos == one])) == 1 for one in range(7))
    assert sorted(np.bincount(folds[::3])) == [2, 2, 3]
    assert (folds_of(videos, ProbeOptions(folds=3, seed=1)) != folds).any()
    labels = np.array([0, 0, 1, 1, 1, 2])
    found = commonest_of_others(labels, np.array([0, 0, 0, 1, 1, 1]))
    assert found.tolist() == [1, 1, 1, 0, 0, 0]
    assert (commonest_of_others(labels, np.zeros(6, int)) == -1).all()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    return make_set(tmp_path_factory.mktemp("set"))


def test_segments_without_pictures_are_mistakes_and_chance_stands_beside(
    small: EvaluationSet, tmp_path: Path
) -> None:
    """Random features: three steps in each of six videos, one of which has no pictures."""
    options = OwnEvaluation.model_validate({**OWN, "options": {"folds": 3}})
    found = run_evaluation("probe", evaluated(small, options), tmp_path / "scores.json")
    assert (found["n"], found["total"], found["classes"]) == (15, 18, 3)
    assert found["missing"] == {"video: truncated": 3}
    assert found["chance"]["top-1"] == pytest.approx(100 / 3 * 15 / 18)
    assert found["scores"]["top-5"] == pytest.approx(100 * 15 / 18)
    assert set(found["scores"]) == {"top-1", "top-5", "features top-1", "features top-5"}
    again = run_evaluation("probe", evaluated(small, options), tmp_path / "again.json")
    assert again["scores"] == found["scores"]


def test_steps_that_can_be_told_are_told() -> None:
    """Each step looks like itself in all videos: the probe finds all."""
    looks = np.eye(6, dtype=np.float32)[:3]
    labels, folds = np.tile(np.arange(3), 5), np.repeat(np.arange(5), 3)
    vectors = looks[labels] + 0.05 * np.random.default_rng(0).standard_normal((15, 6))
    scores = probe(vectors, labels, folds, 3, 0.01)
    assert (scores.argmax(axis=1) == labels).all()


def test_an_option_that_it_does_not_have_is_named(small: EvaluationSet, tmp_path: Path) -> None:
    options = OwnEvaluation.model_validate({**OWN, "options": {"fold": 3}})
    with pytest.raises(UserError, match="fold: unknown key, did you mean 'folds'"):
        run_evaluation("probe", evaluated(small, options), tmp_path / "scores.json")
