"""Every kind of objective trains: the loss falls, models load, clips that lack a modality are counted and left out."""

from typing import get_args

import numpy as np
import pytest
import torch

from mcn.errors import UserError
from mcn.networks.checkpoints import load_model
from mcn.options.objective_kinds import AnyObjective
from mcn.options.objectives import OWN_KIND, kind_of
from tests.objective_runs import OBJECTIVE_SETTINGS, every_kind, options
from tests.synthetic_shards import write_topic_shards
from tests.test_training import lines, run, weights


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_topic_shards(tmp_path_factory.mktemp("data"), videos=9, spoil=True)


def test_every_kind_is_tried():
    kinds = {get_args(one)[1].tag for one in get_args(get_args(AnyObjective)[0])}
    assert {kind_of(one) for one in OBJECTIVE_SETTINGS.values()} == kinds - {OWN_KIND}


# "xdc cdc" asks for other clusters in every epoch; these videos have no direction in time, which "odd_one_out" learns
STEADY = [name for name in OBJECTIVE_SETTINGS if name not in ("xdc cdc", "odd_one_out")]


@pytest.mark.parametrize("name", STEADY)
def test_loss_falls_and_the_model_stands_alone(data, tmp_path, name):
    schedule = {"epochs": 32, "learning_rate": 0.01, "checkpoint_every_steps": 1000}
    chosen = options(name, gradient_clip=5.0, videos_per_batch=9, **schedule)
    model = run(data, tmp_path, chosen)
    totals = [r["epoch_loss/total"] for r in lines(model) if "epoch_loss/total" in r]
    assert np.mean(totals[-5:]) < 0.97 * np.mean(totals[1:6])
    network, config = load_model(model)
    modalities = chosen.objective.needs.modalities
    assert network.has_audio == ("audio" in modalities)
    assert network.has_text == ("text" in modalities or chosen.needs.fits_text)
    assert config["network_class"] == chosen.objective.needs.network
    rows = (2, 5, 12) if chosen.needs.rows else (2, 24)
    vectors = [network.embed_video(torch.rand(rows))]
    if network.has_audio:
        vectors.append(network.embed_audio(torch.rand(2, 40, 64), torch.tensor([64, 20])))
    if network.has_text:
        vectors.append(network.embed_text(torch.rand(2, 4, 8)))
    for vector in vectors:
        assert vector.shape == (2, 16)
        assert not chosen.objective.needs.unit_length or torch.allclose(
            vector.norm(dim=1), torch.ones(2)
        )


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
    objective = chosen.objective.model_copy(update={"same_video": "masked"})
    masked = chosen.model_copy(update={"objective": objective})
    made = [run(data, tmp_path / str(i), one) for i, one in enumerate((chosen, masked))]
    assert weights(made[0]) != weights(made[1])
    assert np.isfinite(lines(made[1])[-1]["epoch_loss/total"])


def test_frozen_audio(tmp_path):
    data = write_topic_shards(tmp_path, videos=9, spoil=True, audio="davenet")
    for name in ("everything_at_once", "synchronisation"):
        made = run(data, tmp_path / name, options(name, {"audio": "davenet"}, epochs=1))
        assert np.isfinite(lines(made)[-1]["epoch_loss/total"])


def test_one_video_a_step_cannot_correspond(data, tmp_path):
    with pytest.raises(UserError, match="one video a step"):
        run(data, tmp_path, options("correspondence", videos_per_batch=1))
