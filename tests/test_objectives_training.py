"""Every kind of objective trains: the loss falls, runs repeat, a resumed run equals an undisturbed one, models load."""

import numpy as np
import pytest
import torch

from mcn.checkpoints import load_model
from mcn.errors import UserError
from mcn.objective_options import kind_of
from mcn.objectives.registry import OBJECTIVES
from mcn.training_options import ExperimentOptions
from mcn.training_step import Trainer
from tests.synthetic_shards import write_topic_shards
from tests.test_training import Killed, lines, run, weights

FUSION = {"visual_tokens": 3, "fusion_width": 16, "fusion_heads": 2, "audio_columns_per_token": 1}
OBJECTIVE_SETTINGS = {
    "mcn": {"clusters": 8, "queue_steps": 2, "refit_every_steps": 2, "reconstruction_weight": 1},
    "mcn prototypes": {"cluster_by": "prototypes", "clusters": 8, "prototype_width": 8},
    "max_margin": {"kind": "max_margin"},
    "mil_nce": {"kind": "mil_nce", "candidates": 3},
    "norm_softmax": {"kind": "norm_softmax"},
    "avlnet": {"kind": "avlnet"},
    "avlnet tri": {"kind": "avlnet", "text": "tri"},
    "avlnet fused": {"kind": "avlnet", "text": "fused"},
    "everything_at_once": {"kind": "everything_at_once", **FUSION},
    "fine_grained": {"kind": "fine_grained", "visual_units": 3},
    "xdc": {"kind": "xdc", "clusters": 8, "memory_clips": 30},
    "xdc cdc": {"kind": "xdc", "variant": "cdc", "clusters": 8},
    "support_set": {"kind": "support_set", "decoder_width": 16},
    "synchronisation": {
        "kind": "synchronisation",
        "easy_epochs": 2,
        "least_shift_seconds": 3,
        "most_shift_seconds": 20,
    },
    "correspondence": {"kind": "correspondence"},
    "correspondence fusion": {"kind": "correspondence", "form": "fusion"},
    "nt_xent": {"kind": "nt_xent", "projection_width": 8},
    "nt_xent modalities": {
        "kind": "nt_xent",
        "views": ["video_video", "video_text", "video_audio"],
        "projection_width": None,
    },
}
every_kind = pytest.mark.parametrize("name", OBJECTIVE_SETTINGS)


def options(name, model=None, **training):
    small = {"embedding_width": 16, "davenet_widths": (4, 4, 8, 8), "reconstruction_width": 8}
    return ExperimentOptions(
        model={**small, **(model or {})},
        objective=OBJECTIVE_SETTINGS[name],
        training={
            "epochs": 4,
            "videos_per_batch": 4,
            "clips_per_video": 4,
            "min_clip_seconds": 2.0,
            "audio_frames": 64,
            "max_words": 4,
            "learning_rate": 3e-3,
            "warmup_steps": 1,
            "checkpoint_every_steps": 5,
            **training,
        },
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_topic_shards(tmp_path_factory.mktemp("data"), videos=9, spoil=True)


def test_every_kind_is_tried():
    tried = {kind_of(settings) for settings in OBJECTIVE_SETTINGS.values()}
    assert tried == {kind_of(cls.model_construct()) for cls in OBJECTIVES} | tried
    assert len(tried) == len(OBJECTIVES)


@every_kind
def test_resumed_run_equals_the_undisturbed_one(data, tmp_path, monkeypatch, name):
    """Killed inside an epoch, one step after a checkpoint; the second of two equal runs is the resumed one."""
    undisturbed = run(data, tmp_path / "undisturbed", options(name))
    original = Trainer.step

    def die(self, batch, number):
        if number == 6:
            raise Killed
        return original(self, batch, number)

    monkeypatch.setattr(Trainer, "step", die)
    with pytest.raises(Killed):
        run(data, tmp_path, options(name))
    monkeypatch.setattr(Trainer, "step", original)
    resumed = run(data, tmp_path, options(name, loader_workers=1))
    assert weights(resumed) == weights(undisturbed)
    assert lines(resumed) == lines(undisturbed)


@every_kind
def test_loss_falls_and_the_model_stands_alone(data, tmp_path, name):
    schedule = {"epochs": 32, "learning_rate": 0.01, "checkpoint_every_steps": 1000}
    chosen = options(name, gradient_clip=5.0, videos_per_batch=9, **schedule)
    model = run(data, tmp_path, chosen)
    totals = [r["epoch_loss/total"] for r in lines(model) if "epoch_loss/total" in r]
    assert np.mean(totals[-5:]) < 0.97 * np.mean(totals[1:6])
    network, config = load_model(model)
    modalities = chosen.objective.needs.modalities
    assert (network.has_audio, network.has_text) == ("audio" in modalities, "text" in modalities)
    assert config["network_class"] == chosen.objective.network
    vectors = [network.embed_video(torch.rand(2, 24))]
    if network.has_audio:
        vectors.append(network.embed_audio(torch.rand(2, 40, 64), torch.tensor([64, 20])))
    if network.has_text:
        vectors.append(network.embed_text(torch.rand(2, 4, 8)))
    for vector in vectors:
        assert vector.shape == (2, 16)
        assert not chosen.objective.unit_length or torch.allclose(vector.norm(dim=1), torch.ones(2))


@every_kind
def test_clips_that_lack_a_modality_are_counted_and_left_out(data, tmp_path, name):
    """Among the spoiled videos one has no sound, one no known word: `mask` trains on what they have; in bf16."""
    chosen = options(name, epochs=2, empty_clips="mask", videos_per_batch=14)
    model = run(data, tmp_path, chosen, precision="bf16")
    records = lines(model)
    assert np.isfinite(records[-1]["epoch_loss/total"])
    _, config = load_model(model)
    needs = options(name).objective.needs
    excluded = [name for names in config["training_set"]["excluded"].values() for name in names]
    if len(needs.modalities) == 3:
        assert "spoiled0" not in excluded
        shares = [r["data/without_audio_share"] for r in records if "data/redrawn_share" in r]
        assert shares == pytest.approx(
            [1 / config["training_set"]["videos"]] * len(shares), abs=0.1
        )
        assert min(shares) > 0


@pytest.mark.parametrize("name", ["mcn", "max_margin", "mil_nce", "fine_grained", "nt_xent"])
def test_same_video_pairs_can_be_masked(data, tmp_path, name):
    chosen = options(name, epochs=2)
    masked = chosen.model_copy(deep=True)
    masked.objective.same_video = "masked"
    made = [run(data, tmp_path / str(i), one) for i, one in enumerate((chosen, masked))]
    assert weights(made[0]) != weights(made[1])
    assert np.isfinite(lines(made[1])[-1]["epoch_loss/total"])


def test_frozen_audio(data, tmp_path):
    for name in ("everything_at_once", "synchronisation"):
        made = run(data, tmp_path / name, options(name, {"audio": "frozen"}, epochs=1))
        assert np.isfinite(lines(made)[-1]["epoch_loss/total"])


def test_one_video_a_step_cannot_correspond(data, tmp_path):
    with pytest.raises(UserError, match="one video a step"):
        run(data, tmp_path, options("correspondence", videos_per_batch=1))
