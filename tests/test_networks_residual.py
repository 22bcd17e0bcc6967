"""Heads on frozen pairs: the pair's scores at the start, training that moves them, exact resume, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.evaluation.annotations import Moment
from mcn.evaluation.retrieval.stage import evaluate
from mcn.features.runtime import resolve
from mcn.layout import ModelShards
from mcn.networks.checkpoints import load_model, save_model
from mcn.networks.frozen import FrozenPair, PictureSettings
from mcn.networks.residual import ResidualPair
from mcn.options.evaluation import RetrievalOptions
from mcn.options.features import RuntimeOptions
from mcn.options.training import ExperimentOptions
from mcn.training.batches import padded_rows
from mcn.training.step import Trainer
from mcn.training.train import TrainingJob, train
from tests import synthetic_shards
from tests.evaluation_set import WIDTH, WORD_WIDTH, EvaluationSet, evaluated, make_set
from tests.test_frozen import with_conse
from tests.test_training import Killed, lines, weights

CLASSES = 7


def pair_of(pairing: str, width: int, word_width: int, sound: int | None = None) -> FrozenPair:
    """A pair whose rows, of `conse`, are random."""
    settings = PictureSettings(
        pairing=pairing, width=width, classes=CLASSES, temperature=1.5, top=CLASSES, center=True
    )
    network = FrozenPair([settings], word_width, sound)
    generator = torch.Generator().manual_seed(0)
    for row in network.pictures.buffers():
        row.copy_(torch.randn(row.shape, generator=generator))
    return network


def untrained(pair: FrozenPair) -> ResidualPair:
    torch.manual_seed(1)
    network = ResidualPair(16, **pair.settings)
    network.pair.load_state_dict(pair.state_dict())
    return network


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    return make_set(tmp_path_factory.mktemp("set"))


@pytest.mark.parametrize("pairing", ["conse", "same_space"])
def test_before_its_first_step_the_head_is_the_frozen_pair(
    small: EvaluationSet, pairing: str
) -> None:
    """Towers of one dual encoder have one width; the set's frames are cut to it."""
    word_width = WORD_WIDTH if pairing == "conse" else WIDTH
    pair = pair_of(pairing, WIDTH, word_width)
    head = untrained(pair)
    clips = [Moment("soup", 3.0, 6.5), Moment("cake", 0.0, 1.0), Moment("cake", 2.0, 9.0)]
    seen = [
        evaluated(small, RetrievalOptions(), one, video=["resnet152"]).embed_video(clips).vectors
        for one in (pair, head)
    ]
    np.testing.assert_allclose(seen[1], seen[0], atol=2e-7)
    words = torch.randn(4, 3, word_width)
    torch.testing.assert_close(head.embed_text(words), pair.embed_text(words), atol=2e-7, rtol=0)
    if pairing == "conse":
        scores = [
            evaluate(evaluated(small, RetrievalOptions(), one, video=["resnet152"]))["scores"]
            for one in (pair, head)
        ]
        assert scores[0] == scores[1]


def test_a_head_on_several_dual_encoders_starts_as_their_mean() -> None:
    settings = [
        PictureSettings(
            pairing="same_space", width=w, classes=0, temperature=1.5, top=0, center=True, first=f
        )
        for w, f in ((3, 0), (5, 3))
    ]
    pair, rows = FrozenPair(settings, 8), torch.randn(2, 4, 8)
    parts = [
        F.normalize(F.normalize(one, dim=-1).mean(dim=1), dim=-1) for one in rows.split([3, 5], 2)
    ]
    wanted = torch.cat(parts, dim=1) / np.sqrt(2)
    torch.testing.assert_close(untrained(pair).embed_video(rows), wanted, atol=1e-6, rtol=0)


def test_a_trained_map_is_the_formula() -> None:
    """unit(p(x) + W2 relu(W1 unit(x) + b1) + b2), frame by frame, and the mean over the frames that are there."""
    head = untrained(pair_of("conse", WIDTH, WORD_WIDTH, sound=WORD_WIDTH)).double()
    generator = torch.Generator().manual_seed(2)
    for row in head.parameters():
        row.data.copy_(torch.randn(row.shape, generator=generator))
    clips = [np.random.default_rng(n).random((n, WIDTH)).astype(np.float16) for n in (3, 1, 5)]
    padded = padded_rows([(one,) for one in clips], [WIDTH]).double()
    assert padded.shape == (3, 5, WIDTH)
    found = head.embed_video(padded)
    first, last = head.seen[0].get_submodule("0"), head.seen[0].get_submodule("2")
    assert isinstance(first, torch.nn.Linear)
    assert isinstance(last, torch.nn.Linear)
    for clip, vector in zip(clips, found, strict=True):
        total = torch.zeros(WORD_WIDTH, dtype=torch.float64)
        for row in torch.from_numpy(clip).double():
            hidden = (first.weight @ (row / row.norm()) + first.bias).clamp(min=0)
            moved = head.pair.embed_frames(0, row[None])[0] + last.weight @ hidden + last.bias
            total += moved / moved.norm()
        torch.testing.assert_close(vector, total / total.norm(), atol=1e-12, rtol=0)
    sounds = torch.randn(2, 4, WORD_WIDTH, dtype=torch.float64, generator=generator)
    sounds[0, 3] = 0
    assert head.heard is not None
    rows = F.normalize(sounds[0, :3], dim=1)
    rows = F.normalize(rows + head.heard(rows), dim=1)
    wanted = F.normalize(rows.mean(dim=0), dim=0)
    torch.testing.assert_close(head.embed_audio(sounds)[0], wanted, atol=1e-12, rtol=0)


def experiment(**training: Any) -> ExperimentOptions:
    return ExperimentOptions.model_validate(
        {
            "model": {"video": ["resnet152"], "residual_on": "pair", "residual_width": 16},
            "objective": {"kind": "norm_softmax", "pairs": ["video_text"]},
            "training": {
                "epochs": 6,
                "videos_per_batch": 4,
                "clips_per_video": 4,
                "min_clip_seconds": 3.0,
                "max_words": 4,
                "learning_rate": 3e-2,
                "warmup_steps": 1,
                "checkpoint_every_steps": 5,
                **training,
            },
        }
    )


def run(data: ModelShards, folder: Path, pair: Path, **training: Any) -> Path:
    runtime = resolve(RuntimeOptions(device="cpu"), 1)
    shards = data_of(data)
    job = TrainingJob(
        experiment(**training), shards, folder / "model", folder / "state", runtime, pair=pair
    )
    train(job)
    return folder / "model"


def data_of(data: ModelShards) -> ModelShards:
    return ModelShards({"resnet152": data.video["resnet152"]}, {}, data.text, data.vocabulary)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ModelShards:
    return synthetic_shards.write_topic_shards(tmp_path_factory.mktemp("data"), videos=9)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    save_model(folder, pair_of("conse", synthetic_shards.WIDTH, synthetic_shards.WORD_WIDTH), {})
    return folder


def test_training_moves_the_maps_alone_and_goes_on_where_it_was_killed(
    data: ModelShards, pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = run(data, tmp_path / "undisturbed", pair)
    head, config = load_model(undisturbed)
    assert isinstance(head, ResidualPair)
    assert config["inputs"]["residual_on"]
    frozen = load_model(pair)[0].state_dict()
    assert all(torch.equal(row, frozen[name]) for name, row in head.pair.state_dict().items())
    assert head.seen[0][2].weight.abs().max() > 0
    losses = [line["epoch_loss/total"] for line in lines(undisturbed) if "epoch_loss/total" in line]
    assert losses[-1] < losses[0]

    original = Trainer.step

    def die(self: Trainer, batch: Any, number: int) -> Any:
        if number == 6:
            raise Killed
        return original(self, batch, number)

    monkeypatch.setattr(Trainer, "step", die)
    with pytest.raises(Killed):
        run(data, tmp_path, pair)
    monkeypatch.setattr(Trainer, "step", original)
    resumed = run(data, tmp_path, pair, loader_workers=1)
    assert weights(resumed) == weights(undisturbed)
    assert lines(resumed) == lines(undisturbed)


def test_features_of_other_widths_and_other_models_are_refused(
    data: ModelShards, pair: Path, tmp_path: Path
) -> None:
    save_model(tmp_path / "other", pair_of("conse", 3, synthetic_shards.WORD_WIDTH), {})
    with pytest.raises(UserError, match=r"(?s)widths \[12\].*wanted: \[3\]"):
        run(data, tmp_path, tmp_path / "other")
    with pytest.raises(UserError, match=r"model\.residual_on: pair, a ResidualPair"):
        run(data, tmp_path, run(data, tmp_path / "trained", pair, epochs=1))


def with_head(model: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    """The demo's configuration with a pair and a head on it; model: changes of its features."""
    found = with_conse()
    head: dict[str, Any] = {
        "base": "mcn",
        "model": {"video": ["efficientnet_lite2"], "text": "minilm", "residual_on": "conse"},
        "objective": {"kind": "norm_softmax", "pairs": ["video_text"]},
    }
    head["model"] |= model or {}
    found["experiments"]["head"] = head | values
    return found


def test_a_head_is_an_experiment_of_the_configuration() -> None:
    settings = configure(with_head())
    head = settings.experiments["head"]
    assert head.needs.network == "ResidualPair"
    assert head.needs.rows == ("video",)
    scored = [task for name, _, task in settings.evaluations() if name == "head"]
    assert scored == ["retrieval", "localization", "alignment"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {"residual_on": "cosne"}}, r"no experiment of kind frozen 'cosne', did you mea"),
        ({"model": {"residual_on": "mcn"}}, r"no experiment of kind frozen 'mcn'"),
        ({"model": {"video": ["resnet152"]}}, r"video \('resnet152',\), not \('efficientnet_lit"),
        ({"objective": {"kind": "norm_softmax"}}, r"audio 'logmel', not None"),
        ({"objective": {"pairs": ["video_text"]}}, r"mcn wants a network of its own; set objecti"),
        ({"objective": {"kind": "fine_grained"}}, r"fine_grained wants a network of its own"),
    ],
)
def test_what_a_head_cannot_be_is_one_error_before_any_job(changes: Any, words: str) -> None:
    with pytest.raises(UserError, match=rf"experiments\.head\.model.*{words}"):
        configure(with_head(**changes))


def test_a_head_on_a_pair_that_fuses_late_is_refused() -> None:
    values = with_head()
    values["experiments"]["conse"]["frozen"] = {"fusion": "late"}
    with pytest.raises(UserError, match=r"residual_on: conse has frozen\.fusion: late"):
        configure(values)


def test_the_overlay_trains_a_head_on_conse() -> None:
    values = yaml.safe_load((Path(__file__).parent.parent / "config/embedded.yaml").read_text())
    assert values["experiments"]["conse_head"]["model"]["residual_on"] == "conse"
