"""XDC and its variants: who predicts whose clusters, the cross-entropy, and when clusters are made."""

import pytest
import torch

from mcn.errors import UserError
from mcn.objectives.clustering import assign
from mcn.objectives.xdc import CrossModalClusteringObjective, predictions_of
from mcn.options.clustering import CrossModalClusteringOptions
from tests.objective_inputs import inputs, setting, views


def make(clips=8, **options):
    chosen = CrossModalClusteringOptions(kind="xdc", **{"clusters": 3, **options})
    torch.manual_seed(0)
    objective = CrossModalClusteringObjective(chosen, setting(clips))
    objective.heads.double()
    objective.start_epoch()
    return objective


def embedded(count=8, seed=0):
    return {name: view + seed for name, view in views(count).items() if name != "text"}


def test_who_predicts_whose_clusters():
    both = ("video", "audio")
    assert predictions_of("xdc", both) == [("video", "audio"), ("audio", "video")]
    assert predictions_of("sdc", both) == [("video", "video"), ("audio", "audio")]
    assert len(predictions_of("mdc", both)) == 4
    assert predictions_of("cdc", both) == [("video", "all"), ("audio", "all")]
    assert len(predictions_of("xdc", ("video", "audio", "text"))) == 6


@pytest.mark.parametrize("variant", ["xdc", "sdc", "mdc", "cdc"])
def test_cross_entropy(variant):
    objective, batch = make(variant=variant), embedded()
    loss = objective.losses(batch, inputs(8))["clusters"]
    spaces = {**batch, "all": torch.cat([batch["video"], batch["audio"]], dim=1)}
    total = 0.0
    for x, y in predictions_of(variant, ("video", "audio")):
        labels = assign(spaces[y], objective.centroids[y])
        head = objective.heads[f"{x}_{y}"]
        for point, label in zip(batch[x], labels, strict=True):
            scores = head.weight @ point + head.bias
            total -= (scores[label] - scores.exp().sum().log()).item() / 8
    assert loss.item() == pytest.approx(total)
    assert objective.health.used <= 3


def test_clusters_are_those_of_the_epoch_before():
    objective = make(memory_clips=12)
    objective.losses(embedded(), inputs(8))
    first = objective.centroids["audio"]
    objective.losses(embedded(seed=5), inputs(8))
    assert objective.centroids["audio"] is first
    assert len(objective.memory["audio"]) == 12
    objective.start_epoch()
    objective.losses(embedded(seed=9), inputs(8))
    assert not torch.equal(objective.centroids["audio"], first)


def test_heads_are_drawn_anew_with_the_clusters():
    objective = make(refit_every_epochs=2)
    weights = []
    for _ in range(4):
        objective.losses(embedded(), inputs(8))
        weights.append(objective.heads["video_audio"].weight.clone())
        objective.start_epoch()
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
    assert torch.equal(weights[2], weights[3])
    assert weights[2].abs().max() <= 5**-0.5


def test_no_loss_until_there_are_enough_clips():
    objective, batch = make(clusters=10), embedded()
    batch["video"].requires_grad_()
    loss = objective.losses(batch, inputs(8))["clusters"]
    loss.backward()
    assert (loss.item(), batch["video"].grad.abs().sum().item()) == (0, 0)
    assert objective.losses(embedded(), inputs(8))["clusters"].item() > 0
    with pytest.raises(UserError, match="a memory of 5 clips for 10 clusters"):
        make(clusters=10, memory_clips=5)


def test_clips_that_lack_a_modality_take_no_part():
    rows = torch.tensor([0, 1, 2, 4, 6, 7])
    whole, part = make(), make()
    loss = whole.losses(embedded(), inputs(8, absent={"audio": [3], "video": [5]}))
    few = part.losses({n: v[rows] for n, v in embedded().items()}, inputs(6))
    assert loss["clusters"].item() == pytest.approx(few["clusters"].item())


def test_state_is_all_there_is():
    one, other = make(), make()
    one.losses(embedded(), inputs(8))
    other.load_state_dict(one.state_dict())
    for seed in (2, 3):  # in the middle of an epoch, then where one begins
        losses = [o.losses(embedded(seed=seed), inputs(8))["clusters"].item() for o in (one, other)]
        assert losses[0] == losses[1]
        assert torch.equal(one.centroids["audio"], other.centroids["audio"])
        for objective in (one, other):
            objective.start_epoch()
