"""Models of single epochs: kept bit for bit through interruptions, taken out, named, and scored as a sweep."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcn.cli import main
from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.layout import ModelShards
from mcn.training.epochs import take_epoch
from mcn.training.step import Trainer
from tests.synthetic_shards import write_topic_shards
from tests.test_training import Killed, lines, options, run, weights

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ModelShards:
    return write_topic_shards(tmp_path_factory.mktemp("data"), videos=10)


@pytest.fixture(scope="module")
def kept(data: ModelShards, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(data, tmp_path_factory.mktemp("kept"), options(keep_epochs=2))


def test_every_so_many_epochs_a_model_is_kept(
    data: ModelShards, kept: Path, tmp_path: Path
) -> None:
    assert sorted(one.name for one in (kept / "epochs").iterdir()) == ["e2", "e4"]
    assert weights(kept / "epochs/e2") != weights(kept / "epochs/e4") != weights(kept)
    assert weights(run(data, tmp_path, options())) == weights(kept)
    one = run(data, tmp_path / "all", options(keep_epochs=1))
    assert weights(one / "epochs/e5") == weights(one)
    assert weights(one / "epochs/e2") == weights(kept / "epochs/e2")
    again = run(data, tmp_path / "all", options(seed=2))  # keeps none
    assert not (again / "epochs").exists()


@pytest.mark.parametrize("step", [5, 9])
def test_an_interrupted_run_keeps_the_same_models(
    data: ModelShards, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    original = Trainer.step

    def die(self: Trainer, batch: Any, number: int) -> Any:
        if number == step:
            raise Killed
        return original(self, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", die)
        with pytest.raises(Killed):
            run(data, tmp_path, options(keep_epochs=2))
    made = run(data, tmp_path, options(keep_epochs=2))
    for epoch in ("e2", "e4"):
        assert weights(made / "epochs" / epoch) == weights(kept / "epochs" / epoch)
    assert not (tmp_path / "state").exists()


def test_an_epoch_becomes_a_model_of_its_own(kept: Path, tmp_path: Path) -> None:
    take_epoch(kept, 4, tmp_path / "mcn_e4")
    assert weights(tmp_path / "mcn_e4") == weights(kept / "epochs/e4")
    config = yaml.safe_load((tmp_path / "mcn_e4/config.yaml").read_text())
    assert (config["epoch_of"], config["epoch"]) == ("model", 4)
    done = lines(tmp_path / "mcn_e4")
    assert max(one["epoch"] for one in done) == 4
    assert done == lines(kept)[: len(done)]
    with pytest.raises(UserError, match=r"no epoch 3 of .*; kept: 2, 4"):
        take_epoch(kept, 3, tmp_path / "mcn_e3")


@pytest.fixture
def values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    found["experiments"]["mcn"]["training"] |= {"epochs": 4, "keep_epochs": 2}
    return found


def test_epochs_have_names(values: dict[str, Any]) -> None:
    values["experiments"]["published"] = {"epoch_of": "mcn", "epoch": 2}
    settings = configure(values)
    assert settings.epoch_models() == {
        "mcn_e2": ("mcn", 2),
        "mcn_e4": ("mcn", 4),
        "published": ("mcn", 2),
    }
    assert settings.experiment("mcn_e4") is settings.experiments["mcn"]
    assert ("mcn_e2", "demo_test", "retrieval") in settings.sweep()
    assert ("published", "demo_test", "retrieval") in settings.evaluations()
    assert not any(model == "mcn_e2" for model, *_ in settings.evaluations())


@pytest.mark.parametrize(
    ("name", "experiment", "message"),
    [
        ("one", {"epoch_of": "mcn", "epoch": 3}, "experiments.one.epoch: 3; kept: 2, 4"),
        ("one", {"epoch_of": "mcn"}, "experiments.one: epoch_of and epoch come together"),
        ("mcn_e2", {"base": "mcn"}, "experiments.mcn_e2: the name of an epoch that mcn keeps"),
    ],
)
def test_epochs_that_cannot_be_are_named(
    values: dict[str, Any], name: str, experiment: dict[str, Any], message: str
) -> None:
    values["experiments"][name] = copy.deepcopy(experiment)
    with pytest.raises((UserError, ValueError), match=message):
        configure(values)


def test_a_sweep_draws_the_scores_of_every_epoch(tmp_path: Path) -> None:
    for epoch in (1, 2, 10):
        model, scored = tmp_path / f"models/mcn_e{epoch}", tmp_path / f"evaluation/mcn_e{epoch}"
        model.mkdir(parents=True)
        scored.mkdir(parents=True)
        (model / "config.yaml").write_text(f"epoch_of: mcn\nepoch: {epoch}\n")
        pairs = {"t->va": {"R@10": 10.0 * epoch, "MedR": 3.0, "n": 5}, "t->v": {"R@10": None}}
        (scored / "test.retrieval.json").write_text(json.dumps({"scores": pairs}))
        recall = {"scores": {"recall": 1.5 * epoch, "n": 5}}
        (scored / "test.localization.json").write_text(json.dumps(recall))
    (tmp_path / "evaluation/mcn").mkdir()
    (tmp_path / "evaluation/mcn/test.retrieval.json").write_text('{"scores": {}}')
    assert main(["sweep", str(tmp_path), "--output", str(tmp_path / "sweep.html")]) == 0
    with open(tmp_path / "sweep.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert ["mcn", "10", "test", "retrieval", "t->va R@10", "100.0"] in rows
    assert [row[1] for row in rows if row[4] == "recall"] == ["1", "2", "10"]
    page = (tmp_path / "sweep.html").read_text()
    assert "chosen by the test score" in page
    assert page.count("<polyline") == 2
    assert main(["sweep", str(tmp_path / "empty"), "--output", str(tmp_path / "x.html")]) == 1
