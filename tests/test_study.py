"""A study of objectives: clusters and pictures against other formulations, its trials, its plan, its page."""

import csv
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from sklearn.decomposition import PCA
from sklearn.metrics import normalized_mutual_info_score

from mcn.config.configuration import configure
from mcn.config.study import objectives_of, plan_digest, trials_of
from mcn.errors import UserError
from mcn.evaluation.embed import EvaluatedModel
from mcn.evaluation.stage import run_evaluation
from mcn.files import write_json, write_table
from mcn.layout import Dataset
from mcn.networks.checkpoints import save_model
from mcn.options.base import laid_over
from mcn.options.features import RuntimeOptions
from mcn.options.sections import DatasetOptions, Experiment
from mcn.options.study import TrialOptions
from mcn.study.clusters import counts_of, normalized_mutual_information, purity
from mcn.study.page import _forest
from mcn.study.pictures import SIZE, draw, principal_directions
from mcn.study.plan import SECONDARY, plan
from mcn.study.run import run_study
from mcn.study.spaces import StepVectors
from mcn.study.stage import Effect, conclude, epoch_means, verdict_of
from mcn.study.statistics import Difference, difference
from mcn.study.trial import cluster_measures, nmi_by_video, run_trial, score
from tests.evaluation_set import make_model, make_set
from tests.objective_runs import options as objective_options
from tests.synthetic_shards import step_tables, write_topic_shards

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def one_thread():
    """Sums over several threads may differ in their last bits from run to run."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


# --- clusters and pictures ----------------------------------------------------------------------------------------


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


def steps_of(vectors, labels, videos):
    return StepVectors({"v": vectors}, labels, ["task"] * len(labels), videos, np.zeros((0, 6)))


def test_separate_labels_are_found():
    rng = np.random.default_rng(0)
    labels, videos = [f"step {n % 4}" for n in range(80)], [f"video {n // 8}" for n in range(80)]
    vectors = 5 * np.eye(6)[[n % 4 for n in range(80)]] + 0.1 * rng.normal(size=(80, 6))
    by_video, others = cluster_measures(steps_of(vectors, labels, videos), "v", 5, 0)
    assert np.mean(list(by_video.values())) > 80
    assert others["purity"] > 80
    assert others["chance purity"] < 50
    assert others["chance NMI"] < 20
    alone = steps_of(
        np.concatenate([vectors, rng.normal(size=(3, 6))]),
        [*labels, "a", "b", "c"],
        [*videos, "x", "x", "y"],
    )
    assert cluster_measures(alone, "v", 5, 0) == (by_video, others), "nothing to agree with"
    assert cluster_measures(steps_of(vectors[:2], ["a", "b"], ["x", "y"]), "v", 5, 0) == ({}, {})


def test_pseudo_values_have_the_mean_of_the_nmi_and_the_error_of_a_bootstrap_over_videos():
    rng = np.random.default_rng(0)
    videos = np.repeat(np.arange(120), 5)
    truth = rng.integers(8, size=600)
    right = np.repeat(
        rng.uniform(size=120) < 0.6, 5
    )  # in some videos clusters are right, in others not
    clusters = np.where(right, truth, rng.integers(8, size=600))
    found = np.array(list(nmi_by_video(clusters, truth, videos).values()))
    assert found.mean() == pytest.approx(100 * normalized_mutual_info_score(truth, clusters))
    drawn = []
    for _ in range(600):
        items = np.concatenate([np.flatnonzero(videos == v) for v in rng.integers(120, size=120)])
        drawn.append(100 * normalized_mutual_info_score(truth[items], clusters[items]))
    error = found.std(ddof=1) / np.sqrt(120)
    assert error == pytest.approx(np.std(drawn), rel=0.1)


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


def test_epoch_means(tmp_path):
    for run, values in enumerate(([1, 2], [3, 4, 5])):
        lines = [f'{{"step": {e}, "epoch": {e}, "x": {v}}}' for e, v in enumerate(values)]
        (tmp_path / f"{run}.jsonl").write_text("\n".join([*lines, '{"step": 9, "epoch": 9}']))
    paths = sorted(tmp_path.iterdir())
    assert epoch_means(paths, "x") == ([0.0, 1.0], [2.0, 3.0])
    assert epoch_means(paths, "y") == ([], [])


# --- trials -------------------------------------------------------------------------------------------------------


def test_scores_by_video_are_those_of_the_evaluations(tmp_path):
    """Recalls of captions pooled, step recall over videos and tasks: from the same embeddings by the evaluations."""
    small = make_set(tmp_path / "set")
    for name in small.shards:
        (tmp_path / "set/features").mkdir(exist_ok=True)
        (tmp_path / "set" / name).rename(tmp_path / "set/features" / name)
    save_model(tmp_path / "model", make_model(), {})
    files, options = Dataset(tmp_path / "set", 2), settings_of().datasets["test"]
    measures, others, pictures = score(tmp_path / "model", files, options, 2, 0)
    found = {}
    for task in ("retrieval", "localization"):
        tables = ["captions", "tasks", "steps"]
        given = EvaluatedModel.load(
            tmp_path / "model", files, tables, getattr(options, task), "cpu"
        )
        found[task] = run_evaluation(task, given, tmp_path / f"{task}.json")["scores"]
    captions = given.tables["captions"]
    counts = pa.parquet.read_table(captions).to_pandas().groupby("video_id").size()
    for name in ("t->va R@1", "t->va R@5", "v->a R@5"):
        pair, recall = name.split(" ")
        by_video = measures[name]
        clips = pa.parquet.read_table(captions).to_pandas().groupby("video_id").clip_id.nunique()
        weights = counts if pair.startswith("t") else clips
        pooled = sum(by_video[v] * weights[v] for v in by_video) / weights.sum()
        assert pooled == pytest.approx(found["retrieval"][pair][recall])
    by_task = given_tasks(given, measures["recall"])
    assert by_task == pytest.approx(found["localization"]["recall"])
    assert set(measures["NMI"]) <= set(measures["recall"])
    assert len(pictures["tasks"]["points"]) > 0
    assert 0 <= others["purity"] <= 100


TRIAL = {
    "dataset": "set",
    "shards": 2,
    "scored": "set",
    "scored_shards": 2,
    "seed": 3,
    "schedule": {"learning_rate": 0.01, "epochs": 6},
    "scoring": {"localization": {"audio_window_seconds": 2}},
    "kmeans_runs": 2,
    "kmeans_seed": 0,
}


@pytest.fixture(scope="module")
def topics(tmp_path_factory):
    """A training set that is scored too: its narration lines are captions, and its topics steps."""
    results = tmp_path_factory.mktemp("results")
    data = write_topic_shards(results / "set", videos=9)
    (results / "set/features").mkdir()
    for name in ("resnet152", "resnext101", "logmel", "word2vec"):
        (results / "set" / name).rename(results / "set/features" / name)
    steps = pa.parquet.read_table(step_tables(data).steps).to_pandas()
    steps["caption"] = [f"w{2 * step}" for step in steps.step]
    steps["clip_id"] = [f"clip{number}" for number in range(len(steps))]
    columns = ["clip_id", "video_id", "start_seconds", "end_seconds", "caption"]
    write_table(results / "set/captions.parquet", pa.Table.from_pandas(steps[columns]))
    return results


def made_trial(results, name):
    base = Experiment(**objective_options("mcn").model_dump(), dataset="other")
    folder = results / "study/trials" / name
    places = results, folder, results / "checkpoints" / name
    told = TrialOptions.model_validate(TRIAL)
    run_trial(base, told, RuntimeOptions(device="cpu"), 1, *places)
    return folder


@pytest.fixture(scope="module")
def first_trial(topics):
    return made_trial(topics, "first")


def test_a_trial_trains_with_its_seed_and_schedule_and_is_the_same_again(topics, first_trial):
    found = []
    for folder in (first_trial, made_trial(topics, "again")):
        scores = json.loads((folder / "scores.json").read_text())
        assert scores["others"].pop("step milliseconds") > 0
        found.append((scores, (folder / "model.safetensors").read_bytes()))
    assert found[0] == found[1]
    config = yaml.safe_load((first_trial / "config.yaml").read_text())
    training = config["options"]["training"]
    assert (training["seed"], training["epochs"], training["learning_rate"]) == (3, 6, 0.01)
    measures = found[0][0]["measures"]
    for measure in ("t->va R@10", "recall", "NMI"):
        one = measures[measure]
        assert len(one["by_video"]) == 9
        assert one["value"] == pytest.approx(np.mean(list(one["by_video"].values())))
    assert measures["t->va R@10"]["value"] > 18, "chance is 14"
    clips = found[0][0]["clips"]
    assert clips["with a step"] > 95
    assert 0 < clips["with a look-alike"] < 95


def test_too_few_videos_for_a_spread_are_refused(topics, first_trial):
    one = pa.parquet.read_table(topics / "set/captions.parquet").to_pandas()
    small = topics / "few"
    small.mkdir()
    for name in ("features", "vocabulary.parquet", "tasks.parquet", "steps.parquet"):
        (small / name).symlink_to(topics / "set" / name)
    kept = one[one.video_id.isin(sorted(set(one.video_id))[:3])]
    write_table(small / "captions.parquet", pa.Table.from_pandas(kept))
    with pytest.raises(UserError, match="3 videos with t->va"):
        score(first_trial, Dataset(small, 2), DatasetOptions(), 1, 0)


def given_tasks(given, recalls):
    """Mean over the videos of a task, then over tasks."""
    rows = pa.parquet.read_table(given.tables["steps"]).to_pandas()
    tasks = rows.groupby("task").video_id.unique()
    return float(np.mean([np.mean([recalls[v] for v in videos]) for videos in tasks]))


def settings_of(**study):
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    annotated = dict.fromkeys(("manifest", "captions", "tasks", "steps"), "unused.csv")
    base = values["experiments"]["mcn"]
    base |= {"dataset": "many", "early_evaluation": None, "seeds": None}
    names = ("many", "few", "validation", "test")
    values["datasets"] = {name: {**annotated, "shards": 2, "synthetic": True} for name in names}
    values["experiments"] = {
        "mms": base,
        "mcn": {"base": "mms"},
        "bound": {"base": "mms"},
        "sounds": {"base": "mms", "objective": {"kind": "avlnet"}},
    }
    effects = {"t->va R@10": 4.0, "recall": 4.0, "NMI": 4.0}
    values["study"] = {
        "baseline": "mms",
        "primary": ["mcn"],
        "bound": "bound",
        "conditions": {"many": "many", "few": "few"},
        "seeds": [1, 2, 3],
        "validation": "validation",
        "test": "test",
        "candidates": [
            {"learning_rate": 0.1, "epochs": 2},
            {"learning_rate": 0.2, "epochs": 3},
        ],
        "smallest_effect": effects,
        "simulations": 200,
        **study,
    }
    return configure(values)


PLANNED = {
    "digest": "",
    "validation_videos": 9,
    "test_videos": 9,
    "chosen": [
        {"condition": c, "objective": o, "learning_rate": 0.2, "epochs": 3}
        for c in ("many", "few")
        for o in ("mms", "mcn", "bound", "sounds")
    ],
}


def with_plan(**changes):
    digest = plan_digest(settings_of(**changes))
    return settings_of(**changes, planned={**PLANNED, "digest": digest})


def test_trials_have_the_same_budget_and_names_of_their_own():
    tuning, tested = trials_of(settings_of(), "tuning"), trials_of(settings_of(), "test")
    assert len(tuning) == 2 * 4 * 2 * 2
    assert tested == [], "nothing is trained for the test before there is a plan"
    assert {one.scored for one in tuning} == {"validation"}
    tested = trials_of(with_plan(), "test")
    assert len(tested) == 2 * 4 * 3
    assert {(one.scored, one.schedule.epochs) for one in tested} == {("test", 3)}
    assert len({one.name for one in [*tuning, *tested]}) == 16 * 2 + 24
    fewer = trials_of(with_plan(other_seeds=2), "test")
    seeds = {
        name: [t.seed for t in fewer if t.objective == name] for name in ("mms", "mcn", "bound")
    }
    assert seeds == {"mms": 2 * [1, 2, 3], "mcn": 2 * [1, 2, 3], "bound": 2 * [1, 2]}
    told = next(one for one in tested if one.name == "few/mcn/seed2").told(with_plan())
    assert (told.dataset, told.scored, told.seed, told.shards) == ("few", "test", 2, 2)
    plain = settings_of(validation=None, conditions={}, candidates=[])
    alone = trials_of(plain, "test")
    assert {(one.condition, one.dataset, one.schedule) for one in alone} == {("all", "many", None)}


def test_a_plan_is_one_of_numbers_that_were_chosen():
    """Limits, and defaults that are written out, leave it as it is; a learning rate or another size does not."""
    digest = plan_digest(settings_of())
    assert plan_digest(settings_of(level=0.05, power=0.5)) == digest
    assert plan_digest(settings_of(level=0.01)) != digest
    for key, value, same in (("read_ahead", 9, True), ("max_words", 13, False)):
        settings = settings_of()
        one = settings.experiments["mcn"]
        training = one.training.model_copy(update={key: value})
        settings.experiments["mcn"] = one.model_copy(update={"training": training})
        assert (plan_digest(settings) == digest) == same


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": []}, "study.seeds"),
        ({"seeds": [1]}, "study.seeds"),
        ({"seeds": [1, 1]}, "seeds: one of them is named twice"),
        ({"baseline": "mmm"}, "study.baseline: no experiment 'mmm'"),
        ({"primary": ["mms"]}, "is the baseline"),
        ({"test": "validation"}, "is the test set"),
        ({"conditions": {"all": "none"}}, "study.conditions.all: no data set 'none'"),
        ({"tuning_seeds": [3, 4]}, "some are seeds of the study too"),
        ({"other_seeds": 4}, "other_seeds: 4 of 3 seeds"),
        ({"averaged": True, "conditions": {"many": "many"}}, "averaged: over two conditions"),
        ({"candidates": []}, "candidates: none"),
        ({"smallest_effect": {"NMI": 2}}, "smallest_effect: none for t->va R@10, recall"),
        ({"planned": PLANNED}, "was made for other settings; plan again"),
    ],
)
def test_a_study_that_cannot_be_made_is_refused(changes, message):
    with pytest.raises(UserError) as caught:
        settings_of(**changes)
    assert message in str(caught.value)


def test_a_plan_of_too_little_power_says_what_would_suffice():
    weak = {
        **{"measure": "NMI", "smallest_effect": 4.0, "seed_deviation": 3.0, "video_deviation": 1.0},
        **{"rest_deviation": 9.0, "power": 0.43, "false_positives": 0.05, "detectable": 6.2},
        **{"seeds_needed": 8, "videos_needed": None},
    }
    planned = {**PLANNED, "digest": plan_digest(settings_of()), "power": [weak]}
    with pytest.raises(UserError) as caught:
        settings_of(planned=planned)
    for words in (
        "43%",
        "wanted 80%",
        "8 seeds would suffice",
        "6.2 points",
        "set study.power lower",
    ):
        assert words in str(caught.value)
    assert settings_of(planned=planned, power=0.0).study.planned.power[0].power == 0.43


# --- plan and result from made-up scores ---------------------------------------------------------------------------


def write_scores(results, settings, phase, gains, rng, videos=40):
    """Scores of every trial; gains: (condition, objective) -> points over the baseline."""
    difficulty = rng.normal(50, 20, videos)
    for one in trials_of(settings, phase):
        better = gains.get((one.condition, one.objective), 0.0) + (one.candidate or 0)
        folder = results / "study/trials" / one.name
        sound = one.objective == "sounds"
        measures = {}
        for measure in ["v->a R@10", "NMI"] if sound else ["t->va R@10", "recall", "NMI"]:
            values = difficulty + better + rng.normal(0, 2) + rng.normal(0, 5, videos)
            by_video = {f"v{n:02d}": float(value) for n, value in enumerate(values)}
            measures[measure] = {"value": float(values.mean()), "by_video": by_video}
        point = {"x": 1.0, "y": 2.0, "group": 0}
        drawing = {"points": [point], "groups": ["a"], "percent": 50.0}
        write_json(
            folder / "scores.json",
            {
                "measures": measures,
                "others": {"purity": 40.0, "step milliseconds": 12.0},
                "clips": {"with a step": 80.0, "with a look-alike": 60.0},
                "pictures": {"modalities": drawing, "tasks": drawing},
            },
        )
        lines = '{"epoch": 1, "early/t->va/R@10": 9.0}\n{"epoch": 2, "early/t->va/R@10": 20.0}\n'
        (folder / "metrics.jsonl").write_text(lines)


def planned_by(settings, results, name):
    told = objectives_of(settings), plan_digest(settings)
    return plan(settings.study, *told, results, results / name)


def test_a_plan_chooses_the_best_candidate_and_knows_what_it_can_find(tmp_path):
    settings = settings_of()
    write_scores(tmp_path, settings, "tuning", {}, np.random.default_rng(0))
    captions = {"video_id": [f"t{n}" for n in range(60)] * 2}
    (tmp_path / "test").mkdir()
    write_table(tmp_path / "test/captions.parquet", pa.table(captions))
    made = planned_by(settings, tmp_path, "plan.yaml")
    assert (made.validation_videos, made.test_videos) == (40, 60)
    assert [(one.condition, one.objective) for one in made.chosen] == [
        (c, o) for c in ("many", "few") for o in ("mms", "mcn", "bound", "sounds")
    ]
    best = [
        one
        for one in made.chosen
        if one.objective == "bound"  # the second candidate is better by one point
    ]
    assert {one.learning_rate for one in best} <= {0.1, 0.2}
    of = {one.measure: one for one in made.power}
    assert of["NMI"].rest_deviation == pytest.approx(5 * 2**0.5, rel=0.1)
    assert of["NMI"].seed_deviation == pytest.approx(2 * 2**0.5, rel=0.6)
    overlay = yaml.safe_load((tmp_path / "plan.yaml").read_text())
    values = laid_over({"study": {}}, overlay)
    assert values["study"]["planned"]["digest"] == plan_digest(settings)
    again = planned_by(settings, tmp_path, "again.yaml")
    assert again == made
    tuned = list(csv.DictReader((tmp_path / "tuning.csv").open()))
    assert len(tuned) == 2 * 2 * 2 * (3 * 3 + 1), "NMI alone of sounds"
    row = next(one for one in tuned if one["learning_rate"] == "0.2" and one["seed"] == "102")
    name = f"{row['condition']}/{row['objective']}/candidate1_seed102"
    raw = json.loads((tmp_path / "study/trials" / name / "scores.json").read_text())
    wanted = raw["measures"][row["measure"]]["value"]
    assert float(row["value"]) == pytest.approx(wanted, rel=1e-5)
    (tmp_path / "study/trials/few/mcn/candidate0_seed102/scores.json").unlink()
    with pytest.raises(UserError, match=r"few/mcn/candidate0_seed102/scores\.json"):
        planned_by(settings, tmp_path, "plan.yaml")


@pytest.fixture(scope="module")
def concluded(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    gains = {("many", "mcn"): 40.0, ("many", "bound"): 50.0, ("few", "mcn"): 0.0}
    write_scores(results, with_plan(), "test", gains, np.random.default_rng(1))
    return results, conclude(with_plan(), results, results / "study.html")


def test_a_real_gain_is_found_and_no_gain_is_not(concluded):
    results, effects = concluded
    found = {(one.condition, one.objective, one.measure): one for one in effects}
    assert found["many", "mcn", "NMI"].verdict == "better"
    assert found["many", "mcn", "NMI"].difference.value == pytest.approx(40, abs=6)
    assert found["few", "mcn", "recall"].verdict in ("undecided", "no difference")
    assert found["few less many", "mcn", "recall"].difference.value == pytest.approx(-40, abs=8)
    assert ("many", "sounds", "recall") not in found
    families = {one.family for one in effects}
    assert families == {"primary", "secondary"}
    assert sum(one.family == "primary" for one in effects) == 2 * 3
    rows = list(csv.DictReader((results / "study_scores.csv").open()))
    wanted = ("few", "mcn", "2", "NMI")
    one = [r for r in rows if tuple(r.values())[:4] == wanted]
    raw = json.loads((results / "study/trials/few/mcn/seed2/scores.json").read_text())
    assert float(one[0]["value"]) == pytest.approx(raw["measures"]["NMI"]["value"], rel=1e-5)
    tested = list(csv.DictReader((results / "study_effects.csv").open()))
    assert len(tested) == len(effects)
    assert {row["baseline"] for row in tested} == {"mms"}


def test_other_objectives_may_have_fewer_seeds(tmp_path):
    """Their differences, and shares of the bound, are of the seeds that both have; all others are as with all."""
    settings = with_plan(other_seeds=2, bound="bound")
    gains = {("many", "mcn"): 40.0, ("many", "bound"): 50.0}
    write_scores(tmp_path, settings, "test", gains, np.random.default_rng(1))
    effects = conclude(settings, tmp_path, tmp_path / "study.html")
    rows = list(csv.DictReader((tmp_path / "study_effects.csv").open()))
    assert {(row["objective"], row["seeds"]) for row in rows} == {
        *(("mcn", "3"), ("bound", "2"), ("sounds", "2"))
    }
    values = {
        (row["objective"], row["seed"]): float(row["value"])
        for row in csv.DictReader((tmp_path / "study_scores.csv").open())
        if (row["condition"], row["measure"]) == ("many", "NMI")
    }
    found = next(
        one.difference.value
        for one in effects
        if (one.condition, one.objective, one.measure) == ("many", "bound", "NMI")
    )
    wanted = np.mean([values["bound", seed] - values["mms", seed] for seed in "12"])
    assert found == pytest.approx(wanted, abs=1e-3)
    assert "Share of the bound" in (tmp_path / "study.html").read_text()


def test_primary_tests_may_be_of_the_mean_over_the_conditions(concluded, tmp_path):
    """The mean of the two differences, with less error than either; what was found in each condition stays the same."""
    results, alone = concluded
    told = {"averaged": True}
    effects = conclude(with_plan(**told), results, tmp_path / "study.html")
    found, each = (
        {(one.condition, one.objective, one.measure): one for one in some}
        for some in (effects, alone)
    )
    for measure in ("t->va R@10", "recall", "NMI"):
        mean = found["mean of many and few", "mcn", measure]
        assert mean.family == "primary"
        parts = [found[condition, "mcn", measure] for condition in ("many", "few")]
        assert {one.family for one in parts} == {"secondary"}
        assert mean.difference.value == pytest.approx(np.mean([p.difference.value for p in parts]))
        assert parts[0].difference == each["many", "mcn", measure].difference
    assert sum(one.family == "primary" for one in effects) == 3
    assert len(effects) == len(alone) + 3

    settings = [settings_of(), settings_of(**told)]
    write_scores(tmp_path, settings[0], "tuning", {}, np.random.default_rng(0))
    (tmp_path / "test").mkdir()
    write_table(tmp_path / "test/captions.parquet", pa.table({"video_id": list("abcdefgh")}))
    power = [
        {one.measure: one for one in planned_by(some, tmp_path, "plan.yaml").power}["NMI"]
        for some in settings
    ]
    assert power[1].rest_deviation == pytest.approx(power[0].rest_deviation / 2**0.5, rel=0.1)
    assert power[1].detectable < power[0].detectable


def test_the_page_says_what_was_planned_and_found_and_is_the_same_again(concluded):
    results, _ = concluded
    text = (results / "study.html").read_text()
    digest = plan_digest(settings_of())
    for words in (
        digest,
        "synthetic",
        "Share of the bound",
        "60 % one that a clip of another video",
        "few less many",
    ):
        assert words in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "Not planned" not in text
    before = [path.read_bytes() for path in sorted(results.glob("study*.*"))]
    conclude(with_plan(), results, results / "study.html")
    assert [path.read_bytes() for path in sorted(results.glob("study*.*"))] == before


def test_without_a_plan_the_page_says_so_and_what_is_missing_is_named(tmp_path):
    plain = settings_of(validation=None, conditions={}, candidates=[], smallest_effect={})
    with pytest.raises(UserError, match=r"all/mms/seed1/scores\.json"):
        conclude(plain, tmp_path, tmp_path / "study.html")
    write_scores(tmp_path, plain, "test", {}, np.random.default_rng(2))
    conclude(plain, tmp_path, tmp_path / "study.html")
    assert "Not planned" in (tmp_path / "study.html").read_text()
    path = tmp_path / "study/trials/all/mcn/seed2/scores.json"
    values = json.loads(path.read_text())
    del values["measures"]["NMI"]["by_video"]["v00"]
    write_json(path, values)
    with pytest.raises(UserError, match="39 videos with NMI"):
        conclude(plain, tmp_path, tmp_path / "study.html")


def test_the_page_says_what_is_small_and_calls_no_change_better():
    found = Difference(-2.0, -2.5, -1.5, 0.001, 0.25, 30.0)
    words = {}
    for condition, one in (("many", found), ("few less many", found._replace(low=-4.0))):
        effect = Effect(SECONDARY, condition, "mms_cluster", "NMI", one, 0.001, 3.0, "worse")
        words[condition] = _forest("NMI", [effect], [condition]).intervals[0].words
    assert words["many"].endswith("worse, within the grey")
    assert words["few less many"].endswith(": smaller")


def test_verdicts():
    sure = Difference(3.0, 2.0, 4.0, 0.001, 0.5, 9.0)
    assert verdict_of(sure, 0.01, 3.0, 0.05) == "better"
    assert verdict_of(sure, 0.06, 3.0, 0.05) == "undecided"
    assert verdict_of(sure._replace(value=-3.0), 0.01, None, 0.05) == "worse"
    near = Difference(0.1, -2.0, 2.2, 0.9, 1.0, 9.0)
    assert verdict_of(near, 1.0, 3.0, 0.05) == "no difference"
    assert verdict_of(near, 1.0, 2.0, 0.05) == "undecided"
    assert verdict_of(near, 1.0, None, 0.05) == "undecided"
    assert difference(np.full((2, 3), 1.0)).value == 1


def test_a_plan_that_git_does_not_have_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, planned = tmp_path / "config.yaml", tmp_path / "plan.yaml"
    config.write_text("study: {validation: v}")
    planned.write_text("study: {planned: {}}")
    with pytest.raises(UserError, match="no commit has it"):
        run_study([config], 1, None, False, planned)
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "plan"],
    ):
        subprocess.run(["git", *words], check=True)
    planned.write_text("study: {planned: {power: []}}")
    with pytest.raises(UserError, match="changed since its commit"):
        run_study([config], 1, None, False, planned)
    assert not (tmp_path / "results/study/.lock").read_text(), "nothing was killed"
    for text, wrong in (
        (b"title: none", "no section `study`"),
        (b"a: [1", "flow sequence"),
        (b"\xff", "decode"),
    ):
        config.write_bytes(text)
        with pytest.raises(UserError, match=wrong):
            run_study([config], 1, None, False, None)
    config.unlink()
    with pytest.raises(UserError, match="correct the path"):
        run_study([config], 1, None, False, None)


def test_the_workflow_plans_trials_first_and_says_what_is_missing(tmp_path):
    """Of the study of rendered videos: its plan needs tuning trials alone; its result needs a plan."""
    files = [str(ROOT / name) for name in ("config.yaml", "config/study.yaml")]
    command = [
        "snakemake",
        "-s",
        str(ROOT / "Snakefile"),
        "--directory",
        str(tmp_path),
        "--cores",
        "1",
        "-n",
    ]

    def asked(target):
        words = [*command, "--configfile", *files, "--", target]
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
        return done.returncode, done.stdout + done.stderr

    status, said = asked("results/study/plan.yaml")
    assert status == 0, said
    assert re.search(r"^trial +48$", said, re.M)
    assert "results/rendered/test/captions.csv" in said
    assert "test/features" not in said, "nothing of the test set is computed"
    status, said = asked("study")
    assert status != 0
    assert "the study is not planned" in said


def test_a_study_is_two_runs_of_the_workflow_with_the_plan_between_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, asked, statuses = tmp_path / "config.yaml", [], []

    def snakemake(words):
        asked.append([str(word) for word in words])
        return statuses.pop(0) if statuses else 0

    monkeypatch.setattr("mcn.study.run._snakemake", snakemake)
    config.write_text("study: {validation: v}")
    assert run_study([config], 2, "profiles/slurm", False, None) == 0
    first, second = asked
    assert first[-2:] == ["--", "results/study/plan.yaml"]
    assert second[-3:] == ["results/study/plan.yaml", "--", "study"]
    assert first[:4] == second[:4] == ["--cores", "2", "--profile", "profiles/slurm"]
    assert run_study([config], 2, None, True, None) == 0
    assert len(asked) == 3, "only planned"
    statuses.append(1)
    assert run_study([config], 2, None, False, None) == 1
    assert len(asked) == 4, "a plan that failed is not tested"
    config.write_text("study: {seeds: [1, 2]}")
    assert run_study([config], 1, None, False, None) == 0
    assert asked[-1][-2:] == ["--", "study"]
    assert "plan.yaml" not in " ".join(asked[-1])


def test_a_study_that_was_killed_goes_on_and_two_never_write_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, asked = tmp_path / "config.yaml", []
    config.write_text("study: {seeds: [1, 2]}")

    def killed(words):
        with pytest.raises(UserError, match="another `mcn study` is at work"):
            run_study([config], 1, None, False, None)
        raise KeyboardInterrupt

    (tmp_path / "results").touch()
    with pytest.raises(UserError, match="cannot be written: Not a directory"):
        run_study([config], 1, None, False, None)
    (tmp_path / "results").unlink()
    monkeypatch.setattr("mcn.study.run._snakemake", killed)
    with pytest.raises(KeyboardInterrupt):
        run_study([config], 1, None, False, None)
    monkeypatch.setattr("mcn.study.run._snakemake", lambda words: asked.append(words[-1]) or 0)
    for wanted in (["--unlock", "study"], ["study"]):
        asked.clear()
        assert run_study([config], 1, None, False, None) == 0
        assert asked == wanted


def test_the_commit_of_a_plan_is_written_down(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, planned = tmp_path / "config.yaml", tmp_path / "plan.yaml"
    config.write_text("study: {validation: v}")
    planned.write_text("study: {planned: {digest: x}}")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "plan"]):
        subprocess.run(["git", *words], check=True)
    asked = []
    monkeypatch.setattr("mcn.study.run._snakemake", lambda words: asked.append(words) or 0)
    assert run_study([config], 1, None, False, planned) == 0
    assert "results/study/planned.yaml" in asked[0]
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    overlay = yaml.safe_load((tmp_path / "results/study/planned.yaml").read_text())
    assert overlay["study"] == {"planned": {"digest": "x"}, "plan_commit": head.stdout.strip()}
