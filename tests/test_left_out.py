"""What is left out of a run for want of files, and how it is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mcn.config.configuration import configure
from mcn.config.left_out import leave_out
from mcn.errors import UserError
from tests.official_files import MAKERS

ROOT = Path(__file__).parent.parent
WEIGHTS = ("weights/resnext101.pth", "weights/GoogleNews-vectors-negative300.bin.gz")
KINDS = ("howto100m", "youcook2", "msrvtt", "crosstask", "mining_youtube")


def laid_over(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {**below, **{key: laid_over(below.get(key), value) for key, value in above.items()}}


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The paper's configuration, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    base, overlay = (
        yaml.safe_load((ROOT / name).read_text()) for name in ("config.yaml", "config/paper.yaml")
    )
    return laid_over(base, overlay)


def make(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_without_any_file_everything_is_named(paper: dict[str, Any]) -> None:
    values, lines = leave_out(paper)
    settings = configure(values, left_out=True)
    assert not settings.datasets
    assert not settings.experiments
    for kind in KINDS:
        assert any(line.startswith(f"data set {kind} is left out: ") for line in lines)
    assert len([line for line in lines if "GoogleNews" in line]) == 1
    text = "\n".join(lines)
    for words in (
        "no data/youcook2/validation_youcook.csv; get it from https://",
        "mining_youtube cannot be extracted: no weights/resnext101.pth (features.resnext101); get it from",
        "experiment mcn_howto100m is left out: it trains on howto100m",
        "experiment mcn_released is left out: no checkpoint weights/mcn.pth",
    ):
        assert words in text
    with pytest.raises(UserError, match="datasets: none"):
        configure(values)


def test_what_is_there_stays(paper: dict[str, Any]) -> None:
    make(*WEIGHTS, "weights/mcn.pth")
    for kind in ("youcook2", "crosstask"):
        MAKERS[kind](Path("data") / kind)
    values, lines = leave_out(paper)
    settings = configure(values)
    assert list(settings.datasets) == ["youcook2", "crosstask"]
    assert list(settings.experiments) == ["mcn_released"]
    assert settings.seeding_dataset == "youcook2"
    assert not any("weights/" in line and "released" not in line for line in lines)
    assert settings.evaluation_sets()["alignment"] == ["crosstask"]
    assert settings.benchmarks() == {"youcook2": "youcook2", "crosstask": "crosstask"}


ROWS = "data/youcook2/youcook_val.pkl"  # all rows of the clips
CLIPS = {"youcook2": "youcook_val_audio.pkl", "msrvtt": "msrvtt_jsfusion_test.pkl"}


def test_everything_there(paper: dict[str, Any]) -> None:
    released = ("mcn", "howto100m_pt_model", "avlnet_text_tri", "AVLnet_Text_Fused_release")
    everything = "weights/everything_at_once_tva/latest_model.pth"
    make(*WEIGHTS, *(f"weights/{name}.pth" for name in released), everything, ROWS)
    for kind in KINDS:
        MAKERS[kind](Path("data") / kind)
    for kind, name in CLIPS.items():
        (Path("data") / kind / name).touch()
    values, lines = leave_out(paper)
    assert lines == []
    settings = configure(values)
    assert set(settings.datasets) == {
        *KINDS,
        *(f"{kind}_{rows}" for kind in CLIPS for rows in ("clips", "rows")),
    }
    assert settings.benchmarks()["msrvtt_clips"] == "msrvtt"
    of_rows = {name for name, where, _ in settings.evaluations() if where == "youcook2_rows"}
    of_maxima = {name for name, where, _ in settings.evaluations() if where == "youcook2_clips"}
    assert of_rows == {"eao_howto100m", "eao_released"}
    assert of_maxima == set(settings.experiments) - of_rows
    plain = {"dataset": "howto100m", "recipe": "released"}
    published = configure(laid_over(values, {"experiments": {"plain": plain}}))
    fields = {"dataset", "model", "objective", "training"}
    ours = published.experiments["mcn_howto100m"].model_dump(include=fields)
    assert ours == published.experiments["plain"].model_dump(include=fields)


def test_an_experiment_without_the_model_that_it_starts_from_is_left_out() -> None:
    def lines_of(start: str) -> list[str]:
        tuned = {"optional": True, "dataset": "a", "training": {"start_from": start}}
        return leave_out({"datasets": {"a": {}}, "experiments": {"first": {}, "tuned": tuned}})[1]

    assert lines_of("weights/gone.pth") == [
        "experiment tuned is left out: no model weights/gone.pth to start from"
    ]
    assert lines_of("results/models/first") == []


def test_only_what_is_optional_is_left_out(paper: dict[str, Any]) -> None:
    for one in paper["datasets"].values():
        if one:
            one["optional"] = False
    values, lines = leave_out(paper)
    assert set(values["datasets"]) == {
        *KINDS,
        *(f"{kind}_{rows}" for kind in CLIPS for rows in ("clips", "rows")),
    }
    assert all("checkpoint" in line for line in lines)


def test_manifests_published_features_and_early_scores(tmp_path: Path) -> None:
    make(str(tmp_path / "m.csv"))
    sets = {
        "listed": {"optional": True, "manifest": str(tmp_path / "m.csv")},
        "unlisted": {"optional": True, "manifest": str(tmp_path / "none.csv")},
        "clips": {"optional": True, "published_features": {"clips": str(tmp_path / "c.pkl")}},
    }
    trained = {"dataset": "listed", "early_evaluation": {"dataset": "clips"}}
    values, lines = leave_out(
        {"datasets": sets, "experiments": {"one": trained, "two": {"base": "one"}}}
    )
    assert list(values["datasets"]) == ["listed"]
    assert values["experiments"]["two"]["dataset"] == "listed"
    assert values["experiments"]["one"]["early_evaluation"] is None
    assert lines == [
        f"data set unlisted is left out: no manifest {tmp_path / 'none.csv'}",
        f"data set clips is left out: no published features {tmp_path / 'c.pkl'}",
        "experiment one has no early scores: no clips",
        "experiment two has no early scores: no clips",
    ]


def test_a_checkpoint_needs_no_training_set(tmp_path: Path) -> None:
    sets = {"lost": {"optional": True, "manifest": str(tmp_path / "none.csv")}}
    experiments = {"one": {"dataset": "lost", "checkpoint": "weights/mcn.pth"}}
    values, lines = leave_out({"datasets": sets, "experiments": experiments})
    assert values["experiments"]["one"]["dataset"] is None
    assert len(lines) == 1


def test_published_features_need_word_vectors_alone(tmp_path: Path) -> None:
    make(str(tmp_path / "c.pkl"))
    sets = {"clips": {"optional": True, "published_features": {"clips": str(tmp_path / "c.pkl")}}}
    features: dict[str, Any] = {"resnext101": {"weights": str(tmp_path / "none.pth")}}
    values, lines = leave_out({"datasets": sets, "features": features})
    assert (list(values["datasets"]), lines) == (["clips"], [])
    features["word2vec"] = {"vectors": str(tmp_path / "none.bin")}
    values, lines = leave_out({"datasets": sets, "features": features})
    assert values["datasets"] == {}
    assert lines[0].startswith("clips cannot be extracted: no ")


def test_what_is_not_valid_is_left_to_the_check() -> None:
    wrong = {"datasets": {"a": {"optional": True, "official": {"kind": "nothing"}}, "b": 3}}
    assert leave_out(wrong) == (wrong, [])
    assert leave_out({"datasets": 3, "experiments": {}})[1] == []
