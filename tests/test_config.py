"""Configuration: the shipped files are valid, mistakes are all named at once."""

import copy
from pathlib import Path

import pytest
import yaml

from mcn.commands import reference as commands
from mcn.config.checks import check_manifests
from mcn.config.configuration import configure
from mcn.config.reference import (
    PAGE_PATH,
    PUBLISHED_PATH,
    SCHEMA_PATH,
    page,
    with_recipes,
    write_schema,
)
from mcn.config.reruns import leaves
from mcn.errors import UserError
from mcn.files import canonical_json
from mcn.options.recipes import SWITCHES, recipe_words

ROOT = Path(__file__).parent.parent


@pytest.fixture
def values():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def overlay(base, values):
    for key, value in values.items():
        base[key] = (
            overlay(base[key], value) if isinstance(base.get(key), dict) and value else value
        )
    return base


def test_the_demo_is_valid(values):
    assert set(configure(values).datasets) == {"demo_train", "demo_test"}


# overlays that want others below them
LAID_OVER = {"scoreboard": ["howto100m", "youcook2", "msrvtt"]}


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_every_overlay_is_valid(values, path):
    for below in LAID_OVER.get(path.stem, ()):
        values = overlay(values, yaml.safe_load((ROOT / f"config/{below}.yaml").read_text()))
    configure(overlay(values, yaml.safe_load(path.read_text())))


def test_the_schema_is_that_of_the_model(tmp_path):
    write_schema(tmp_path / "schema.yaml")
    fresh = (tmp_path / "schema.yaml").read_text()
    assert fresh == (ROOT / SCHEMA_PATH).read_text(), "run: python -m mcn.config.reference"


def test_the_page_of_keys_is_that_of_the_model():
    fresh = (ROOT / PAGE_PATH).read_text()
    assert page() == fresh, "run: python -m mcn.config.reference"
    assert fresh.count("\n| `") == len(list(leaves()))


def test_the_page_of_the_command_line_is_up_to_date():
    written = (ROOT / commands.PAGE_PATH).read_text()
    assert commands.page() == written, "run: python -m mcn.commands.reference"


def test_every_problem_is_named_with_its_key_and_the_nearest_valid_one(values):
    values["datsets"] = {}
    values["features"]["resnet152"]["wieghts"] = "seeded"
    values["datasets"]["demo_train"]["shards"] = "many"
    values["experiments"]["mcn"]["training"] = {"epoch": 3}
    values["datasets"]["de/mo"] = {"manifest": "x.csv"}
    with pytest.raises(UserError) as caught:
        configure(values)
    for part in (
        "datsets: unknown key, did you mean 'datasets'?",
        "features.resnet152.wieghts: unknown key, did you mean 'weights'?",
        "datasets.demo_train.shards: got 'many'",
        "experiments.mcn.training.epoch: unknown key, did you mean 'epochs'?",
        "de/mo",
    ):
        assert part in caught.value.got


def test_references_to_other_sections_are_checked(values):
    broken = copy.deepcopy(values)
    broken["experiments"]["mcn"]["dataset"] = "demo_trian"
    broken["datasets"]["demo_test"]["steps"] = None
    broken["datasets"]["demo_test"]["captions"] = None
    with pytest.raises(UserError) as caught:
        configure(broken)
    assert "no data set 'demo_trian', did you mean 'demo_train'?" in caught.value.got
    assert "demo_test: tasks and steps come together" in caught.value.got
    assert "demo_test has no captions" in caught.value.got


def test_the_model_that_an_experiment_starts_from_is_made_or_there(values, tmp_path):
    model = values["experiments"]["mcn"]
    for start, words in (
        ("results/models/mcn", "experiments.mcn.training.start_from: the experiment itself"),
        ("results/models/mnc", "no experiment 'mnc'"),
    ):
        model["training"]["start_from"] = start
        with pytest.raises(UserError, match=words):
            configure(values)
    model["training"]["start_from"] = None
    values["experiments"]["second"] = {
        "base": "mcn",
        "training": {"start_from": "results/models/mcn"},
    }
    assert configure(values).experiments["second"].training.start_from == "results/models/mcn"


@pytest.mark.parametrize("recipe", ["paper", "released", "ours"])
def test_a_recipe_sets_every_switch_of_the_table(values, recipe):
    values["experiments"] = {"one": {"dataset": "demo_train", "recipe": recipe}}
    made = configure(values).experiments["one"].model_dump()
    for switch in SWITCHES:
        section, _, key = switch.key.partition(".")
        assert made[section][key] == switch.value(recipe), switch.key
    assert "(" not in recipe_words(made)
    values["experiments"]["two"] = {"base": "one", "objective": {"queue_steps": 7}}
    other = configure(values).experiments["two"].model_dump()
    assert other["objective"]["queue_steps"] == 7
    assert f"objective.queue_steps 7 ({recipe}: " in recipe_words(other)
    values["experiments"] = {
        "one": values["experiments"]["one"] | {"objective": {"kind": "norm_softmax"}}
    }
    assert (
        configure(values).experiments["one"].training.empty_clips == made["training"]["empty_clips"]
    )
    values["experiments"]["one"]["recipe"] = "papper"
    with pytest.raises(UserError, match=r"one\.recipe: got 'papper', did you mean 'paper'"):
        configure(values)


def test_the_table_of_recipes_is_that_of_the_model():
    written = (ROOT / PUBLISHED_PATH).read_text()
    assert with_recipes(written) == written, "run: python -m mcn.config.reference"


def test_a_network_of_whole_videos_does_not_hear_levels_of_clips(values):
    values["features"]["logmel"] = {"reference": "clip"}
    configure(values)  # the demo trains on log-mels alone
    values["experiments"]["mcn"]["model"]["audio"] = "davenet"
    with pytest.raises(UserError, match=r"features\.davenet\.reads\.feature: has reference: clip"):
        configure(values)


def test_sound_of_published_features_may_lie_apart(values):
    places = {"directory": "pictures", "audio_directory": "sound"}
    values["datasets"]["demo_train"]["published_features"] = places
    made = configure(values).datasets["demo_train"].published_features
    assert (made.directory, made.audio_directory) == ("pictures", "sound")
    values["datasets"]["demo_train"]["published_features"] = {"clips": "a", "audio_directory": "b"}
    with pytest.raises(UserError, match="audio_directory stands beside directory"):
        configure(values)


def test_captions_as_narration_make_a_training_set(values):
    values["datasets"]["demo_test"]["narration_table"] = "captions"
    settings = configure(values)
    assert settings.datasets["demo_test"].narration_table == "results/demo/captions.csv"
    assert "demo_test" not in settings.evaluation_sets()["retrieval"]
    assert "demo_test" in settings.evaluation_sets()["localization"]
    values["datasets"]["demo_train"]["narration_table"] = "captions"
    with pytest.raises(
        UserError, match=r"demo_train\.narration_table: captions, and there are none"
    ):
        configure(values)


def test_an_experiment_inherits_from_its_base(values):
    values["experiments"]["other"] = {"base": "mcn", "training": {"seed": 7}}
    experiments = configure(values).experiments
    assert experiments["other"].training.seed == 7
    same = experiments["other"].training.model_copy(
        update={"seed": experiments["mcn"].training.seed}
    )
    assert same == experiments["mcn"].training
    assert experiments["other"].model == experiments["mcn"].model


@pytest.mark.parametrize("base", ["mnc", "other"])
def test_a_base_that_is_not_another_experiment_is_named(values, base):
    values["experiments"]["other"] = {"base": base}
    with pytest.raises(UserError, match=f"no other experiment '{base}'"):
        configure(values)


def test_equal_settings_give_equal_options_whatever_the_order_of_keys(values):
    reordered = {key: values[key] for key in reversed(values)}
    told = [canonical_json(configure(one).model_dump()) for one in (values, reordered)]
    assert told[0] == told[1]


def test_manifests_are_checked_before_any_job(values, tmp_path):
    (tmp_path / "m.csv").write_text("video_id,path\n../x,a.mp4\na,gone.mp4\n")
    values["datasets"]["demo_train"]["manifest"] = str(tmp_path / "m.csv")
    values["datasets"]["demo_test"]["manifest"] = str(tmp_path / "made later.csv")
    with pytest.raises(UserError) as caught:
        check_manifests(configure(values))
    assert "datasets.demo_train" in caught.value.got
    assert "'../x'" in caught.value.got
    assert "gone.mp4" in caught.value.got


def test_an_objective_of_another_kind_replaces_the_one_below_it(values):
    values["experiments"]["nce"] = {"base": "mcn", "objective": {"kind": "norm_softmax"}}
    values["experiments"]["ablation"] = {"base": "mcn", "objective": {"cluster_weight": 0}}
    experiments = configure(values).experiments
    assert experiments["nce"].objective.temperature == 0.05
    assert experiments["nce"].training == experiments["mcn"].training
    assert experiments["ablation"].objective.clusters == experiments["mcn"].objective.clusters


def test_problems_of_an_objective_are_named_as_they_are_written(values):
    values["experiments"]["mcn"]["objective"]["clusterz"] = 3
    values["experiments"]["b"] = {"base": "mcn", "objective": {"kind": "xdc", "cluster": 3}}
    values["experiments"]["c"] = {"base": "mcn", "objective": {"kind": "max_margn"}}
    with pytest.raises(UserError) as caught:
        configure(values)
    for part in (
        "experiments.mcn.objective.clusterz: unknown key, did you mean 'clusters'?",
        "experiments.b.objective.cluster: unknown key, did you mean 'clusters'?",
        "experiments.c.objective.kind: got 'max_margn', did you mean 'max_margin'?",
    ):
        assert part in caught.value.got


def test_seeds_make_experiments_that_differ_in_the_seed_alone(values):
    values["experiments"]["mcn"]["seeds"] = [4, 7]
    values["experiments"]["nce"] = {"base": "mcn", "objective": {"kind": "norm_softmax"}}
    experiments = configure(values).experiments
    assert list(experiments) == ["mcn_seed4", "mcn_seed7", "nce_seed4", "nce_seed7"]
    assert [one.training.seed for one in experiments.values()] == [4, 7, 4, 7]
    assert experiments["nce_seed4"].objective == experiments["nce_seed7"].objective
    values["experiments"]["nce_seed7"] = {"base": "mcn", "seeds": None}
    with pytest.raises(UserError, match="there is already an experiment 'nce_seed7'"):
        configure(values)
    values["experiments"] = {"mcn": {**values["experiments"]["mcn"], "seeds": [1, 1]}}
    with pytest.raises(UserError, match="each seed once"):
        configure(values)


def test_features_that_an_experiment_names_are_checked_all_at_once(values):
    model, experiments = {"base": "mcn"}, values["experiments"]
    experiments["typo"] = {**model, "model": {"video": ["resnet15"], "audio": "word2vec"}}
    experiments["deaf"] = {**model, "model": {"audio": None}}
    experiments["mute"] = {**model, "model": {"text": None}, "objective": {"kind": "avlnet"}}
    lines = {"kind": "avlnet", "windows": "lines"}
    experiments["told"] = {**model, "model": {"text": None}, "objective": lines}
    with pytest.raises(UserError) as caught:
        configure(values)
    for part in (
        "experiments.typo.model.video: no feature 'resnet15', did you mean 'resnet152'?",
        "experiments.typo.model.audio: word2vec is a feature of kind text; wanted audio",
        "experiments.deaf.model.audio: none, and the objective mcn needs audio",
        "experiments.told.model.text: none, and avlnet takes clips around narration lines",
    ):
        assert part in caught.value.got
    assert "experiments.mute" not in caught.value.got
    experiments["twice"] = {**model, "model": {"video": ["resnet152", "resnet152"]}}
    with pytest.raises(UserError, match=r"experiments.twice.model.video: .* named twice"):
        configure(values)


def test_an_experiment_reads_what_its_objective_needs(values):
    objectives = {
        "mcn": (("resnet152", "resnext101", "logmel", "word2vec"),) * 2,
        "mil_nce": (("resnet152", "resnext101", "word2vec"),) * 2,
        # clips around narration lines, which the model itself never reads
        "synchronisation": (
            ("resnet152", "resnext101", "logmel"),
            ("resnet152", "resnext101", "logmel", "word2vec"),
        ),
        "avlnet": (("resnet152", "resnext101", "logmel"),) * 2,
    }
    for kind in list(objectives)[1:]:
        values["experiments"][kind] = {"base": "mcn", "objective": {"kind": kind}}
    experiments = configure(values).experiments
    for kind, (model, training) in objectives.items():
        found = experiments[kind].features.names, experiments[kind].training_features.names
        assert found == (model, training), kind
