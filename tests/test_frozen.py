"""Frozen pairs: ConSE against its formula, evaluations of a pair, the folder of a model, wrong configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from mcn.cli import main
from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.evaluation.annotations import Moment, read_vocabulary
from mcn.evaluation.basis import basis
from mcn.evaluation.embed import EvaluatedModel
from mcn.evaluation.localization.stage import StepScorer
from mcn.evaluation.retrieval.stage import evaluate
from mcn.features.embedded import locate
from mcn.networks.checkpoints import load_model, save_model
from mcn.networks.frozen import FrozenPair, PictureSettings
from mcn.options.evaluation import LocalizationOptions, RetrievalOptions
from mcn.options.sections import Experiment
from mcn.search.query_encoder import as_frame, load_query_encoder
from tests.evaluation_set import (
    BROKEN,
    TASK_STEPS,
    WIDTH,
    WORD_WIDTH,
    EvaluationSet,
    evaluated,
    make_set,
)

ROOT = Path(__file__).parent.parent
CLASSES = 7
GLOVE = str(ROOT / "mcn/demo/assets/glove_demo.bin")


def pair(top: int = CLASSES, center: bool = True) -> FrozenPair:
    """A ConSE pair with random rows."""
    settings = PictureSettings(
        pairing="conse", width=WIDTH, classes=CLASSES, temperature=1.5, top=top, center=center
    )
    network = FrozenPair([settings], WORD_WIDTH)
    generator = torch.Generator().manual_seed(0)
    for row in network.pictures[0].buffers():
        row.copy_(torch.randn(row.shape, generator=generator))
    return network


def conse(network: FrozenPair, row: np.ndarray, top: int, center: bool) -> np.ndarray:
    """Norouzi et al. 2014, equations 4 and 5, one class after the other in float64."""
    rows = {name: one.double().numpy() for name, one in network.pictures[0].named_buffers()}
    logits = [float(w @ row + b) / 1.5 for w, b in zip(rows["weight"], rows["bias"], strict=True)]
    best = sorted(range(CLASSES), key=lambda k: -logits[k])[:top]
    total = sum(np.exp(logits[k]) for k in best)
    mean = sum(rows["names"]) / CLASSES if center else np.zeros(WORD_WIDTH)
    vector = sum(np.exp(logits[k]) / total * (rows["names"][k] - mean) for k in best)
    return vector / np.sqrt(vector @ vector)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    return make_set(tmp_path_factory.mktemp("set"))


@pytest.mark.parametrize(("top", "center"), [(CLASSES, True), (3, False)])
def test_a_frame_is_the_mean_of_its_classes_vectors(top: int, center: bool) -> None:
    network = pair(top, center)
    frames = np.random.default_rng(1).standard_normal((4, WIDTH))
    found = network.embed_frames(0, torch.from_numpy(frames).float()).double().numpy()
    for frame, vector in zip(frames, found, strict=True):
        np.testing.assert_allclose(vector, conse(network, frame, top, center), atol=1e-6)


def given_pair(small: EvaluationSet, options: Any) -> EvaluatedModel:
    return evaluated(small, options, pair(), video=["resnet152"])


def test_a_clip_is_the_mean_of_its_frames_and_texts_that_of_their_parts(
    small: EvaluationSet,
) -> None:
    given = given_pair(small, RetrievalOptions())
    assert given.letters == "tv"
    found = given.embed_video([Moment("soup", 3.0, 6.5), Moment(BROKEN, 0, 1)])
    frames = given.stores["resnet152"]["soup"].values[3:7].astype(np.float64)
    mean = sum(conse(given.model, one, CLASSES, True) for one in frames)
    np.testing.assert_allclose(found.vectors[0], mean / np.linalg.norm(mean), atol=1e-5)
    assert found.reasons == ["", "video: truncated"]
    words = read_vocabulary(small.path("vocabulary.parquet")).words("pour water", 9).sum(axis=0)
    said = given.embed_text(["pour water"]).vectors[0]
    np.testing.assert_allclose(said, words / np.linalg.norm(words), atol=1e-6)


def test_of_several_video_features_the_mean_is_taken(small: EvaluationSet) -> None:
    network = pair()
    twice = FrozenPair([*network.settings["pictures"], *network.settings["pictures"]], WORD_WIDTH)
    for module in twice.pictures:
        module.load_state_dict(network.pictures[0].state_dict())
    names = ["resnet152", "resnext101"]
    given = evaluated(small, RetrievalOptions(), twice, video=names)
    found = given.embed_video([Moment("soup", 2.0, 4.5)]).vectors[0]
    means = []
    for name, rows in zip(names, (slice(2, 5), slice(3, 7)), strict=True):
        frames = given.stores[name]["soup"].values[rows].astype(np.float64)
        means.append(np.mean([conse(network, one, CLASSES, True) for one in frames], axis=0))
    mean = means[0] + means[1]
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-5)


@pytest.mark.parametrize("names", [["resnet152"], ["resnet152", "resnext101"]])
def test_late_fusion_is_the_mean_of_the_frames_cosines(
    names: list[str], small: EvaluationSet
) -> None:
    """Of one encoder, and of two side by side, which weigh alike."""
    picture = {"pairing": "same_space", "width": WIDTH, "classes": 0}
    settings: Any = [{**picture, "first": WIDTH * number} for number in range(len(names))]
    late = FrozenPair(settings, WIDTH * len(names), late=True)
    given = evaluated(small, RetrievalOptions(), late, video=names)
    moments = [Moment("soup", 3.0, 6.5), Moment("soup", 8.0, 15.5)]
    clips = given.embed_video(moments).vectors
    said = np.random.default_rng(2).standard_normal((len(names), WIDTH))
    said /= np.linalg.norm(said, axis=1, keepdims=True)
    for clip, moment in zip(clips, moments, strict=True):
        rows = given.reader.frames(moment)
        assert [len(one) for one in rows] >= [2] * len(names)
        scores = [
            np.mean([row @ text / np.sqrt(row @ row) for row in np.asarray(one, np.float64)])
            for one, text in zip(rows, said, strict=True)
        ]
        text = said.ravel() / np.linalg.norm(said)
        assert abs(clip @ text - np.mean(scores)) < 1e-5
    assert FrozenPair(**late.settings).late
    assert "late" not in pair().settings, "what is there keeps its bytes"
    assert abs(np.linalg.norm(clips[0]) - 1) > 1e-3


def test_the_evaluations_take_a_pair_as_they_take_any_model(small: EvaluationSet) -> None:
    scores = evaluate(given_pair(small, RetrievalOptions()))
    assert set(scores["scores"]) == {"t->v", "v->t"}
    assert scores["total"] == 18
    scorer = StepScorer(given_pair(small, LocalizationOptions()), {"make": TASK_STEPS})
    seconds = scorer.embed("soup")
    assert not isinstance(seconds, str)
    assert (seconds.seconds, list(seconds.modes)) == (20, ["v"])
    one = given_pair(small, RetrievalOptions()).embed_video([Moment("soup", 4.0, 4.9)])
    np.testing.assert_allclose(seconds.modes["v"][4], one.vectors[0], atol=1e-6)
    assert scorer.embed(BROKEN) == "video: truncated"


def test_encoders_become_the_folder_of_a_model_and_answer_queries(tmp_path: Path) -> None:
    rows = (
        '{"efficientnet_lite2": {}, "word2vec": {"vectors": "'
        + GLOVE
        + '", "case": "lower", "cache": "'
        + str(tmp_path / "cache")
        + '"}}'
    )
    told = '{"kind": "frozen", "model": {"video": ["efficientnet_lite2"], "text": "word2vec"}}'
    words = ["freeze", "--options", told, "--rows", rows, "--runtime", "{device: cpu}"]
    for name in ("a", "b"):
        assert main([*words, "--output", str(tmp_path / name)]) == 0
    first, second = (
        [(tmp_path / name / file).read_bytes() for file in ("model.safetensors", "config.yaml")]
        for name in ("a", "b")
    )
    assert first == second
    network, config = load_model(tmp_path / "a")
    assert isinstance(network, FrozenPair)
    assert config["encoders"]["efficientnet_lite2"] == locate("embedded:efficientnet_lite2").recipe
    assert basis(tmp_path / "a").startswith(
        "efficientnet_lite2 + word2vec, trained by others (ConSE)"
    )

    settings = {"features": yaml.safe_load(rows)}
    encoder = load_query_encoder(tmp_path / "a", settings)
    asked = encoder.embed_text(["An onion", "zzzz"])
    np.testing.assert_allclose(np.linalg.norm(asked, axis=1), [1, 0], atol=1e-5)
    picture = np.full((300, 400, 3), 255, np.uint8)
    seen = encoder.embed_pictures([picture, picture[:, :350]])
    assert seen.shape == (2, 50)
    assert as_frame(picture, 292, 260).shape == (260, 260, 3)


def test_a_trained_model_answers_queries_too(tmp_path: Path, small: EvaluationSet) -> None:
    network, _ = load_model(small.path("model"))
    model = tmp_path / "model"
    features = {"video": ["resnet152", "resnext101"], "audio": "logmel", "text": "word2vec"}
    recipes = {"resnet152": {"weights": {"seeded": "{}"}}}
    save_model(model, network, {"features": features, "recipes": recipes})
    lines = [f"{word} " + " ".join(map(str, range(WORD_WIDTH))) for word in ("pour", "tea")]
    (tmp_path / "v.txt").write_text("\n".join(lines) + "\n")
    row = {"vectors": str(tmp_path / "v.txt"), "cache": str(tmp_path / "cache")}
    encoder = load_query_encoder(model, {"features": {"word2vec": row}})
    with torch.inference_mode():
        padded = torch.zeros(1, 20, WORD_WIDTH)
        padded[0, 0] = torch.arange(WORD_WIDTH)
        wanted = torch.nn.functional.normalize(network.embed_text(padded)).numpy()
    np.testing.assert_allclose(encoder.embed_text(["pour"]), wanted, atol=1e-6)
    assert basis(model) == "seeded weights, which understand nothing"
    with pytest.raises(UserError, match="resnet152, resnext101"):
        encoder.embed_pictures([np.zeros((9, 9, 3), np.uint8)])


CONSE: dict[str, Any] = {
    "kind": "frozen",
    "model": {"video": ["efficientnet_lite2"], "text": "minilm"},
}


def with_conse(**model: Any) -> dict[str, Any]:
    """The demo's configuration with a pair; model: changes of its features."""
    values: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["experiments"]["conse"] = CONSE | {"model": CONSE["model"] | model}
    return values


def test_a_pair_is_an_experiment_of_the_configuration() -> None:
    settings = configure(with_conse())
    assert settings.experiments["conse"].features == (("efficientnet_lite2",), None, "minilm")
    scored = [task for name, _, task in settings.evaluations() if name == "conse"]
    assert scored == ["retrieval", "localization", "alignment"]
    assert "efficientnet_lite2" in settings.used_features()
    assert "minilm" not in settings.used_features(), "nothing reads the narration's vectors"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {"text": None}}, r"model\.text: got None, wanted the text encoder of the pair"),
        ({"model": {"text": "minilmm"}}, r"model\.text: got 'minilmm'.*did you mean 'minilm'"),
        ({"model": {"video": []}}, r"model\.video: none"),
        ({"model": {"video": ["resnet152"]}}, r"model\.video: resnet152 has seeded weights"),
        ({"model": {"audio": "logmel"}}, r"model\.audio: logmel is of encoder logmel, whose vec"),
        ({"model": {"embedding_width": 9}}, r"model\.embedding_width: a frozen pair has no such"),
        ({"training": {"epochs": 3}, "objective": {}}, r"objective: a frozen experiment is not"),
        ({"dataset": "demo_train"}, r"dataset: a frozen experiment is not trained; leave it out"),
    ],
)
def test_what_a_pair_lacks_is_one_error_before_any_job(changes: Any, words: str) -> None:
    values = with_conse()
    for key, value in changes.items():
        section = values["experiments"]["conse"]
        section[key] = section.get(key, {}) | value if isinstance(value, dict) else value
    with pytest.raises(UserError, match=rf"experiments\.conse\.{words}"):
        configure(values)


def test_a_classifier_needs_names_and_what_its_network_gives() -> None:
    values = with_conse()
    values["features"]["efficientnet_lite2"] = {"normalize": True}
    with pytest.raises(UserError, match=r"set features\.efficientnet_lite2\.normalize: false"):
        configure(values)
    values = with_conse(video=["moving"])
    values["features"]["moving"] = {
        "encoder": "video_network",
        "network": "r3d_18",
        "weights": "torchvision:KINETICS400_V1",
    }
    with pytest.raises(UserError, match="moving is no classifier with named classes"):
        configure(values)
    values["experiments"]["conse"]["frozen"] = {"pairing": "same_space"}
    assert configure(values).experiments["conse"].is_frozen


def test_a_pair_reads_what_its_model_names_however_often_it_is_written_down() -> None:
    """Jobs read the settings as a run wrote them, every key given: a default there was once read as sound."""
    model = {"video": ["efficientnet_lite2"], "text": "minilm"}
    given = Experiment.model_validate({"kind": "frozen", "model": model})
    again = Experiment.model_validate(given.model_dump(mode="json"))
    assert given.features == again.features == (("efficientnet_lite2",), None, "minilm")
