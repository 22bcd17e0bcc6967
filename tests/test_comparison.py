"""Comparison of experiments: statistics, clusters and pictures against other formulations, and the whole stage."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.decomposition import PCA
from sklearn.metrics import normalized_mutual_info_score

from mcn.comparison.clusters import agreement, counts_of, normalized_mutual_information, purity
from mcn.comparison.measures import epoch_means, runs_by_objective
from mcn.comparison.pictures import SIZE, draw, principal_directions
from mcn.comparison.stage import compare
from mcn.comparison.statistics import paired_difference, summarize
from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.evaluation.embed import EvaluatedModel
from mcn.evaluation.stage import run_evaluation
from mcn.layout import Dataset
from mcn.networks import MultimodalClusteringNetwork
from mcn.networks.checkpoints import save_model
from mcn.options.comparison import ComparisonOptions
from tests.evaluation_set import WIDTH, make_model, make_set

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def one_thread():
    """Sums over several threads may differ in their last bits from run to run."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


def test_summaries():
    assert summarize([]) is None
    assert summarize([3.0]) == (3.0, None, 1)
    assert summarize([1.0, 3.0]) == (2.0, pytest.approx(2**0.5), 2)


def test_difference_of_independent_items_has_the_interval_of_the_normal_distribution():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(1.0, 1, (1, 400)), rng.normal(0.0, 1, (1, 400))
    found = paired_difference(ours, theirs, np.arange(400), 4000, 0.95, 0)
    gaps = (ours - theirs)[0]
    half = 1.96 * gaps.std() / 20
    assert found.value == pytest.approx(gaps.mean())
    assert found.low == pytest.approx(gaps.mean() - half, abs=0.02)
    assert found.high == pytest.approx(gaps.mean() + half, abs=0.02)
    assert found.clear


def test_items_of_one_video_are_drawn_together():
    """Ten equal items a video: as uncertain as one item a video, not as ten times as many."""
    rng = np.random.default_rng(1)
    one = rng.normal(size=(1, 30)), np.zeros((1, 30))
    many = np.repeat(one[0], 10, axis=1), np.zeros((1, 300))
    alone = paired_difference(*one, np.arange(30), 3000, 0.9, 0)
    together = paired_difference(*many, np.repeat(np.arange(30), 10), 3000, 0.9, 0)
    apart = paired_difference(*many, np.arange(300), 3000, 0.9, 0)
    assert together.high - together.low == pytest.approx(alone.high - alone.low)
    assert apart.high - apart.low < 0.5 * (alone.high - alone.low)


def test_runs_are_drawn_too_and_in_pairs():
    items = np.zeros((2, 5)), np.array([[0.0] * 5, [10.0] * 5])
    found = paired_difference(items[1], items[0], np.arange(5), 2000, 0.95, 0)
    assert (found.value, found.low, found.high) == (5, 0, 10)
    same = paired_difference(items[1], items[1], np.arange(5), 200, 0.95, 0)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    with pytest.raises(ValueError, match="units"):
        paired_difference(items[0], items[1], np.arange(4), 200, 0.95, 0)


def test_purity_and_mutual_information():
    rng = np.random.default_rng(0)
    for _ in range(20):
        clusters, labels = rng.integers(4, size=60), rng.integers(3, size=60)
        expected = normalized_mutual_info_score(labels, clusters)
        counts = counts_of(clusters, labels)
        assert normalized_mutual_information(counts) == pytest.approx(expected)
        by_hand = sum(np.bincount(labels[clusters == k]).max() for k in set(clusters))
        assert purity(counts) == pytest.approx(by_hand / 60)
    constant = counts_of(np.zeros(5), np.zeros(5))
    assert (purity(constant), normalized_mutual_information(constant)) == (1, 1)


def test_separate_labels_are_found():
    rng = np.random.default_rng(0)
    labels = [f"step {n % 4}" for n in range(80)]
    vectors = 5 * np.eye(6)[[n % 4 for n in range(80)]] + 0.1 * rng.normal(size=(80, 6))
    found = agreement(vectors, labels, 5, 0)
    assert found["purity"] > 80
    assert found["NMI"] > 80
    assert found["chance purity"] < 50
    assert found["chance NMI"] < 20
    alone = np.concatenate([vectors, rng.normal(size=(3, 6))])
    assert agreement(alone, [*labels, "a", "b", "c"], 5, 0) == found  # nothing to agree with
    assert agreement(vectors[:2], ["a", "b"], 5, 0) == {}


def test_principal_directions():
    vectors = np.random.default_rng(0).normal(size=(30, 5)) * [3, 2, 1, 1, 1]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    model = PCA(2).fit(unit)
    places, percent = principal_directions(vectors)
    np.testing.assert_allclose(np.abs(places), np.abs(model.transform(unit)), atol=1e-9)
    assert percent == pytest.approx(100 * model.explained_variance_ratio_.sum())
    picture = draw(places, percent, ["b", "a"] * 15)
    assert picture.groups == ["a", "b"]
    assert {point.group for point in picture.points[::2]} == {1}
    sides = [(p.x, p.y) for p in picture.points]
    assert np.max(sides) == pytest.approx(SIZE)
    assert np.min(sides) >= -1e-9
    one = draw(*principal_directions(np.ones((1, 3))), ["a"])
    assert (one.points[0].x, one.points[0].y) == (0, SIZE)


def test_runs_by_objective():
    names = ["mcn_seed1", "mcn_seed2", "a_seed1_b", "mms"]
    assert list(runs_by_objective(names)) == ["mcn", "a_seed1_b", "mms"]


def test_epoch_means(tmp_path):
    for run, values in enumerate(([1, 2], [3, 4, 5])):
        lines = [f'{{"step": {e}, "epoch": {e}, "x": {v}}}' for e, v in enumerate(values)]
        (tmp_path / f"{run}.jsonl").write_text("\n".join([*lines, '{"step": 9, "epoch": 9}']))
    paths = sorted(tmp_path.iterdir())
    assert epoch_means(paths, "x") == ([0.0, 1.0], [2.0, 3.0])
    assert epoch_means(paths, "y") == ([], [])


def settings_of(experiments):
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    annotated = dict.fromkeys(("manifest", "captions", "tasks", "steps"), "unused.csv")
    values["datasets"]["demo_test"] = None
    values["datasets"]["set"] = {**annotated, "shards": 2, "synthetic": True}
    base = {**values["experiments"]["mcn"], "early_evaluation": None}
    values["experiments"] = {"mcn": {**base, "seeds": [1, 2]}, **experiments}
    return configure(values)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two runs of three modalities, one without sound, one without text, untrained, with their evaluations."""
    results = tmp_path_factory.mktemp("results")
    small = make_set(results / "set")
    for name in small.shards:
        (results / "set" / "features").mkdir(exist_ok=True)
        (results / "set" / name).rename(results / "set" / "features" / name)
    torch.manual_seed(3)
    silent = MultimodalClusteringNetwork(
        2 * WIDTH, None, 16, (4, 4, 6, 8), reconstruction_width=None
    )
    models = {
        "mcn_seed1": make_model(),
        "mcn_seed2": make_model(frozen=True),
        "pictures": make_model(audio=False),
        "sounds": silent.eval(),
    }
    files = Dataset(results / "set", 2)
    for name, model in models.items():
        save_model(results / "models" / name, model, {})
        lines = '{"step": 1, "epoch": 1, "time/step_seconds": 0.5, "epoch_loss/total": 2.0}\n'
        (results / "models" / name / "metrics.jsonl").write_text(lines)
        options = settings_of({}).datasets["set"]
        chosen = {"retrieval": options.retrieval, "localization": options.localization}
        for task in chosen if model.has_text else ["retrieval"]:
            tables = ["captions", "tasks", "steps"]
            given = EvaluatedModel.load(
                results / "models" / name, files, tables, chosen[task], "cpu"
            )
            run_evaluation(task, given, results / "evaluation" / name / f"set.{task}.json")
    return results


COMPARED = {
    "pictures": {"base": "mcn", "seeds": None, "objective": {"kind": "max_margin"}},
    "sounds": {"base": "mcn", "seeds": None, "objective": {"kind": "avlnet"}},
}


def test_the_whole_comparison(results, tmp_path):
    page = tmp_path / "comparison.html"
    options = ComparisonOptions(draws=200)
    compare(settings_of(COMPARED), results, page, options)
    rows = list(csv.DictReader((tmp_path / "comparison.csv").open()))
    table = {(row["objective"], row["measure"]): row for row in rows}
    assert table["mcn", "t->va R@10"]["runs"] == "2"
    assert table["mcn", "t->va R@10"]["difference"] == ""
    difference = float(table["pictures", "t->v R@10"]["difference"])
    means = [float(table[name, "t->v R@10"]["mean"]) for name in ("pictures", "mcn")]
    assert difference == pytest.approx(means[0] - means[1], abs=1e-3)
    assert float(table["sounds", "v->a R@5"]["difference_low"]) <= 0
    assert ("pictures", "t->va R@10") not in table
    assert ("sounds", "recall") not in table
    assert float(table["mcn", "step milliseconds"]["mean"]) == 500
    assert 0 <= float(table["pictures", "NMI of steps (v)"]["mean"]) <= 100
    text = page.read_text()
    assert "4 runs" in text
    assert "synthetic" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    before = (page.read_bytes(), (tmp_path / "comparison.csv").read_bytes())
    compare(settings_of(COMPARED), results, page, options)
    assert (page.read_bytes(), (tmp_path / "comparison.csv").read_bytes()) == before


def test_what_is_missing_is_named(results, tmp_path):
    more = {**COMPARED, "absent": {"base": "mcn", "seeds": None}}
    with pytest.raises(UserError, match=r"models/absent/metrics.jsonl"):
        compare(settings_of(more), results, tmp_path / "x.html", ComparisonOptions())
    with pytest.raises(UserError, match="baseline 'mms'"):
        compare(
            settings_of(COMPARED), results, tmp_path / "x.html", ComparisonOptions(baseline="mms")
        )
