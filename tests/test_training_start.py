"""Starting from a model: what is taken, what goes on, what is refused; the schedules of the released commands."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from mcn.errors import UserError
from mcn.features.runtime import resolve
from mcn.layout import ModelShards
from mcn.networks.checkpoints import load_model
from mcn.options.features import RuntimeOptions
from mcn.options.training import ExperimentOptions, TrainingOptions
from mcn.training.data import TrainingSet
from mcn.training.start import start
from mcn.training.step import Trainer, scheduled_rate
from mcn.training.train import TrainingJob, build_trainer, word_vectors
from tests.synthetic_shards import write_topic_shards
from tests.test_checkpoints import miech_rows
from tests.test_training import lines, options, run, weights


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ModelShards:
    return write_topic_shards(tmp_path_factory.mktemp("data"), videos=6)


@pytest.fixture(scope="module")
def first(data: ModelShards, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(data, tmp_path_factory.mktemp("first"), options(keep_state=True))


def trainer(data: ModelShards, chosen: ExperimentOptions) -> Trainer:
    """What `train` builds, before its first step."""
    runtime = resolve(RuntimeOptions(device="cpu"), 1)
    job = TrainingJob(chosen, data, Path("model"), Path("state"), runtime)
    training_set = TrainingSet(data, chosen.training, chosen.objective.needs)
    return build_trainer(training_set, word_vectors(job)[0], chosen, runtime)


def same(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right


def test_a_run_starts_from_the_weights_of_a_folder(
    data: ModelShards, first: Path, tmp_path: Path
) -> None:
    still = run(data, tmp_path, options(start_from=str(first), learning_rate=1e-12, epochs=4))
    old, new = load_model(first)[0], load_model(still)[0]
    torch.testing.assert_close(new.GU_video.fc.weight, old.GU_video.fc.weight)
    fresh = run(data, tmp_path / "fresh", options(learning_rate=1e-12, epochs=4))
    assert not torch.allclose(load_model(fresh)[0].GU_video.fc.weight, old.GU_video.fc.weight)
    assert not (still / "state.pt").exists()
    again = run(data, tmp_path / "again", options(start_from=str(first), epochs=4))
    assert lines(again)[0]["epoch_loss/total"] < lines(fresh)[0]["epoch_loss/total"]
    assert weights(again) == weights(
        run(data, tmp_path / "twice", options(start_from=str(first), epochs=4))
    )


def test_all_goes_on_with_moments_queue_and_centroids(data: ModelShards, first: Path) -> None:
    state = torch.load(first / "state.pt", weights_only=True)
    chosen = options(start_from=str(first), start_state="all")
    made = trainer(data, chosen)
    start(made, chosen.training)
    assert same(made.optimizer.state_dict()["state"], state["optimizer"]["state"])
    assert same(made.objective.state_dict(), state["objective"])
    assert state["objective"]["clustering"]["centroids"] is not None
    assert made.optimizer.param_groups[0]["weight_decay"] == 0
    fresh = trainer(data, chosen)
    start(fresh, chosen.training.model_copy(update={"start_state": "weights"}))
    assert not fresh.optimizer.state_dict()["state"]


def test_the_same_run_writes_the_same_state(data: ModelShards, first: Path, tmp_path: Path) -> None:
    again = run(data, tmp_path, options(keep_state=True))
    assert (again / "state.pt").read_bytes() == (first / "state.pt").read_bytes()


def test_a_published_file_with_the_state_of_adam(
    data: ModelShards, first: Path, tmp_path: Path
) -> None:
    """An amp_checkpoint.pt whose parameters come in another order than ours."""
    network, _ = load_model(first)
    state = torch.load(first / "state.pt", weights_only=True)["optimizer"]["state"]
    own = [name for name, _ in network.named_parameters()]
    rows = dict(reversed(list(network.state_dict().items())))
    theirs = [name for name in rows if name in own]
    moments = {
        n: state[own.index(name)] for n, name in enumerate(theirs) if own.index(name) in state
    }
    group = {"lr": 1e-4, "params": list(range(len(theirs)))}
    path = tmp_path / "amp_checkpoint.pt"
    optimizer = {"state": moments, "param_groups": [group]}
    torch.save(
        {"net": rows, "optimizer": optimizer, "scheduler": {"last_epoch": 7}, "amp": {}}, path
    )
    chosen = options(start_from=str(path), start_state="all")
    made = trainer(data, chosen)
    start(made, chosen.training)
    assert same(made.optimizer.state_dict()["state"], state)
    assert torch.equal(made.network.GU_video.fc.weight, network.GU_video.fc.weight)
    torch.save({"net": rows}, path)
    with pytest.raises(UserError, match="which holds `net` and `optimizer`"):
        start(made, chosen.training)


def test_branches_that_a_model_lacks_are_drawn_from_the_seed(
    data: ModelShards, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = miech_rows()
    widths = rows["GU_video.fc.weight"].shape[1], rows["text_pooling.fc.weight"].shape[1]
    path = tmp_path / "howto100m.pth"
    torch.save(rows, path)
    with pytest.raises(UserError, match=r"GU_video\.fc\.weight is 7x10, should be 16x24"):
        start(trainer(data, options()), TrainingOptions(start_from=str(path)))
    made = trainer(data, options())
    made.network = type(made.network)(widths[0], widths[1], 7, (3, 4, 5, 6), None, 4)
    caplog.set_level(logging.WARNING)
    start(made, TrainingOptions(start_from=str(path)))
    assert torch.equal(made.network.GU_video.fc.weight, rows["GU_video.fc.weight"])
    assert torch.equal(made.network.GU_text_captions.fc.weight, rows["GU_text.fc.weight"])
    assert "DAVEnet is drawn from the seed" in caplog.text


def test_what_is_refused(data: ModelShards, first: Path, tmp_path: Path) -> None:
    def starting(path: Path, objective: dict[str, Any] | None = None, **model: Any) -> None:
        chosen = options(model, objective, start_from=str(path), start_state="all")
        start(trainer(data, chosen), chosen.training)

    with pytest.raises(UserError, match="where no model is"):
        run(data, tmp_path, options(start_from=str(tmp_path / "nowhere")))
    with pytest.raises(UserError, match="should be 8x24"):
        starting(first, embedding_width=8)
    with pytest.raises(UserError, match=r"the state of .* does not fit"):
        starting(
            first,
            {"cluster_weight": 0, "kind": "mcn", "cluster_by": "prototypes"}
            | {"cluster_weight": 1.0},
        )
    without = run(data, tmp_path / "without", options())
    with pytest.raises(UserError, match=r"train it with training\.keep_state: true"):
        starting(without)
    (without / "state.pt").write_bytes((first / "state.pt").read_bytes())
    if weights(without) != weights(first):
        with pytest.raises(UserError, match="of other weights"):
            starting(without)


def test_a_changed_model_starts_anew(data: ModelShards, first: Path, tmp_path: Path) -> None:
    """The sha256 of the model is part of what a checkpoint must agree on."""
    made = run(data, tmp_path, options(start_from=str(first), epochs=4))
    inputs = load_model(made)[1]["inputs"]
    assert len(inputs["start_from"]) == 64


def test_schedules_of_the_released_commands() -> None:
    def rates(total: int = 30, **values: Any) -> list[float]:
        chosen = TrainingOptions(learning_rate=1.0, epochs=3, **values)
        return [scheduled_rate(step, total, chosen) for step in range(total)]

    epochs = rates(schedule="epochs", warmup_steps=0)
    assert epochs[0] == epochs[9] == 1.0
    assert epochs[10] == 0.9
    assert epochs[29] == pytest.approx(0.81)
    warm = rates(schedule="epochs", warmup_steps=4, epoch_decay=0.5)
    assert warm[:5] == [0, 0.25, 0.5, 0.75, 1.0]
    assert rates(schedule="constant", warmup_steps=0) == [1.0] * 30
    cosine = rates(warmup_steps=0)
    assert rates(warmup_steps=0, schedule_start_step=10)[:20] == cosine[10:]
    assert rates(warmup_steps=0, schedule_start_step=40)[0] == pytest.approx(0.25)  # rises again
