"""The terms of MCN put together by hand: pairs, clusters of the fused feature, reconstruction; absent modalities."""

import pytest
import torch

from mcn.objectives import centroid_contrast, masked_margin_softmax
from mcn.objectives.clustering import assign, kmeans
from mcn.objectives.mcn import MultimodalClusteringObjective
from mcn.options.clustering import ClusteringOptions
from tests.objective_inputs import inputs, setting, vectors, views

NAMES = ("video", "audio", "text")
PAIRS = (("video", "text"), ("audio", "text"), ("video", "audio"))


def make(clips=8, **options):
    chosen = ClusteringOptions(**{"clusters": 3, "queue_steps": 0, **options})
    objective = MultimodalClusteringObjective(chosen, setting(clips))
    objective.start_epoch()
    return objective


def reconstructed(batch, count=8):
    return {
        **batch,
        **{f"input {name}": vectors(count, 4, seed=10 + i) for i, name in enumerate(NAMES)},
        **{f"reconstructed {name}": vectors(count, 4, seed=20 + i) for i, name in enumerate(NAMES)},
    }


def error(batch, name, rows):
    return (batch[f"reconstructed {name}"][rows] - batch[f"input {name}"][rows]).square().mean()


@pytest.mark.parametrize("reduction", ["mean", "sum", "fused"])
def test_terms(reduction):
    objective = make(cluster_reduction=reduction, contrast_weight=2.0, cluster_weight=3.0)
    batch = reconstructed(views(8))
    terms = {name: term.item() for name, term in objective.losses(batch, inputs(8)).items()}
    contrast = sum(masked_margin_softmax(batch[x] @ batch[y].t()).item() for x, y in PAIRS)
    assert terms["contrast"] == pytest.approx(2 * contrast)
    fused = sum(batch[name] for name in NAMES) / 3
    centroids = objective.clustering.centroids
    labels = assign(fused, centroids)
    each = [centroid_contrast(batch[name], centroids, labels).item() for name in NAMES]
    whole = centroid_contrast(fused, centroids, labels).item()
    expected = {"mean": sum(each) / 3, "sum": sum(each), "fused": whole}[reduction]
    assert terms["cluster"] == pytest.approx(3 * expected)
    errors = sum(error(batch, name, slice(None)).item() for name in NAMES)
    assert terms["reconstruction"] == pytest.approx(50 * errors)
    assert objective.health.used <= 3


def test_the_released_mean_of_two_modalities_divides_by_three():
    batch = reconstructed(views(8))
    pairs, weights = ("video_text",), {"contrast_weight": 0.0, "reconstruction_weight": 0.0}
    present, three = (
        make(pairs=pairs, cluster_mean_over=over, **weights).losses(batch, inputs(8))["cluster"]
        for over in ("present", "three")
    )
    assert three.item() == pytest.approx(present.item() * 2 / 3)


def test_what_clips_lack_is_in_no_term():
    """Clip 2 has no sound, clip 5 no words: fused over two modalities, absent from their pairs and losses."""
    objective = make()
    batch = {name: view.requires_grad_() for name, view in reconstructed(views(8)).items()}
    terms = objective.losses(batch, inputs(8, absent={"audio": [2], "text": [5]}))
    sum(terms.values()).backward()
    for name, absent in (("audio", 2), ("text", 5)):
        for key in (name, f"input {name}", f"reconstructed {name}"):
            assert batch[key].grad[absent].abs().sum() == 0, key
            assert (batch[key].grad.abs().sum(dim=1) > 0).sum() == 7, key
    plain = {name: view.detach() for name, view in batch.items()}
    fused = sum(plain[name] for name in NAMES) / 3
    fused[2] = (plain["video"][2] + plain["text"][2]) / 2
    fused[5] = (plain["video"][5] + plain["audio"][5]) / 2
    centroids = objective.clustering.centroids
    torch.testing.assert_close(centroids, kmeans(fused, 3, seed=objective.setting.seed)[0])
    labels = assign(fused, centroids)
    rows = {"video": list(range(8)), "audio": [0, 1, 3, 4, 5, 6, 7], "text": [0, 1, 2, 3, 4, 6, 7]}
    each = [centroid_contrast(plain[n][r], centroids, labels[r]).item() for n, r in rows.items()]
    assert terms["cluster"].item() == pytest.approx(sum(each) / 3)
    errors = sum(error(plain, name, r).item() for name, r in rows.items())
    assert terms["reconstruction"].item() == pytest.approx(50 * errors)


def test_pairs_left_out():
    objective = make(pairs=("video_text",), reconstruction_weight=0)
    batch = {name: view for name, view in views(8).items() if name != "audio"}
    terms = objective.losses(batch, inputs(8))
    expected = masked_margin_softmax(batch["video"] @ batch["text"].t())
    assert terms["contrast"].item() == pytest.approx(expected.item())
    assert objective.options.needs.modalities == ("video", "text")
    left = make(pairs=("video_text", "audio_text")).options.needs.modalities
    assert left == NAMES


def test_centroids_are_forgotten_where_an_epoch_begins_only_if_asked():
    for reset in (True, False):
        objective = make(reset_centroids_each_epoch=reset, reconstruction_weight=0)
        objective.losses(views(8), inputs(8))
        objective.start_epoch()
        assert (objective.clustering.centroids is None) == reset


def test_a_batch_of_one_clip_without_clusters():
    objective = make(clips=1, cluster_weight=0, reconstruction_weight=0)
    terms = objective.losses(views(1), inputs(1))
    assert {name: term.item() for name, term in terms.items()} == {"contrast": 0}
    assert torch.isfinite(
        objective.losses({n: 1e4 * v for n, v in views(1).items()}, inputs(1))["contrast"]
    )
