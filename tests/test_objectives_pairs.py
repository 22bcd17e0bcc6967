"""Objectives of pairs of modalities: sums of the plain losses, masked pairs, clips that lack a modality."""

import math

import pytest
import torch

from mcn.objectives import masked_margin_softmax, max_margin_ranking, mil_nce, norm_softmax
from mcn.objectives.objective import make_objective, without_same_video
from mcn.options.clip_parts import EverythingAtOnceOptions
from mcn.options.clustering import ClusteringOptions
from mcn.options.contrast import AvlnetOptions, MaxMarginOptions, MilNceOptions, NormSoftmaxOptions
from tests.objective_inputs import inputs, reordered, setting, vectors, views

PLAIN = {"cluster_weight": 0, "reconstruction_weight": 0}
KINDS = {
    "mcn": (ClusteringOptions(**PLAIN), masked_margin_softmax),
    "norm_softmax": (NormSoftmaxOptions(kind="norm_softmax"), norm_softmax),
    "avlnet": (AvlnetOptions(kind="avlnet", text="tri"), masked_margin_softmax),
    "max_margin": (
        MaxMarginOptions(kind="max_margin", pairs=("video_text", "audio_text", "video_audio")),
        max_margin_ranking,
    ),
}
kinds = pytest.mark.parametrize(("options", "loss"), KINDS.values(), ids=KINDS)


def value(options, batch, given, clips_per_video=1):
    count = len(next(iter(batch.values())))
    objective = make_objective(options, setting(count // clips_per_video, clips_per_video))
    terms = objective.losses(batch, given)
    return sum(term.item() for term in terms.values())


def sums(batch, loss):
    pairs = (("video", "text"), ("audio", "text"), ("video", "audio"))
    return sum(loss(batch[x] @ batch[y].t()).item() for x, y in pairs)


@kinds
def test_sum_over_pairs(options, loss):
    batch = views(6, unit=True)
    assert value(options, batch, inputs(6)) == pytest.approx(sums(batch, loss))
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    assert value(options, reordered(batch, order), inputs(6)) == pytest.approx(sums(batch, loss))
    alone = reordered(batch, order[:1])
    assert value(options, alone, inputs(1)) == pytest.approx(sums(alone, loss))


@kinds
def test_clips_that_lack_a_modality_are_left_out_of_its_pairs(options, loss):
    batch = views(6, unit=True)
    rows = {"audio": [0, 1, 3, 4, 5], "text": [0, 1, 2, 3, 5]}
    expected = 0.0
    for x, y in (("video", "text"), ("audio", "text"), ("video", "audio")):
        both = sorted(set(rows.get(x, range(6))) & set(rows.get(y, range(6))))
        expected += loss(batch[x][both] @ batch[y][both].t()).item()
    found = value(options, batch, inputs(6, absent={"audio": [2], "text": [4]}))
    assert found == pytest.approx(expected)
    nothing = inputs(6, absent={"audio": list(range(6)), "text": list(range(6))})
    assert value(options, batch, nothing) == 0


@pytest.mark.parametrize("name", ["mcn", "norm_softmax", "avlnet"])
def test_masked_pairs_are_in_no_denominator(name):
    """Clips 0, 1 and 2, 3 are of one video: the loss is that of loops that skip each other."""
    options, _ = KINDS[name]
    options = options.model_copy(update={"same_video": "masked"})
    batch = views(4, unit=True)
    margin, scale = (0, 20) if name == "norm_softmax" else (0.001, 1)
    expected = 0.0
    for x, y in (("video", "text"), ("audio", "text"), ("video", "audio")):
        s = (batch[x] @ batch[y].t() * scale).tolist()
        for i in range(4):
            others = [j for j in range(4) if j // 2 != i // 2]
            true = math.exp(s[i][i] - margin)
            expected -= math.log(true / (true + sum(math.exp(s[i][j]) for j in others))) / 4
            expected -= math.log(true / (true + sum(math.exp(s[j][i]) for j in others))) / 4
    assert value(options, batch, inputs(4, 2), 2) == pytest.approx(expected)


def test_max_margin_weighs_pairs_inside_a_video():
    options = MaxMarginOptions(kind="max_margin")
    batch = views(6, unit=True)
    similarity = batch["video"] @ batch["text"].t()
    expected = max_margin_ranking(similarity, clips_per_video=2).item()
    assert value(options, batch, inputs(6, 2), 2) == pytest.approx(expected)
    masked = options.model_copy(update={"same_video": "masked"})
    cut = without_same_video(similarity, torch.arange(6) // 2)
    hinge = (0.1 + cut - similarity.diagonal()[:, None]).clamp(min=0)
    hinge = hinge + (0.1 + cut - similarity.diagonal()[None]).clamp(min=0)
    assert value(masked, batch, inputs(6, 2), 2) == pytest.approx(hinge.mean().item())


def test_gradient_of_masked_pairs_is_zero():
    batch = {name: view.requires_grad_() for name, view in views(2, unit=True).items()}
    options = NormSoftmaxOptions(kind="norm_softmax", same_video="masked")
    objective = make_objective(options, setting(1, 2))
    loss = objective.losses(batch, inputs(2, 2))["contrast"]
    loss.backward()
    assert loss.item() == 0
    assert all(view.grad.abs().sum() == 0 for view in batch.values())


def test_avlnet_variants():
    batch = views(5)
    none, fused, summed = (
        AvlnetOptions(kind="avlnet", text=text) for text in ("none", "fused", "summed")
    )
    both = batch["text"] @ (batch["audio"] + batch["video"]).t()
    assert value(summed, batch, inputs(5)) == pytest.approx(masked_margin_softmax(both).item())
    assert (none.needs.modalities, none.needs.windows) == (("video", "audio"), "random")
    similarity = batch["video"] @ batch["audio"].t()
    assert value(none, batch, inputs(5)) == pytest.approx(masked_margin_softmax(similarity).item())
    similarity = (batch["audio"] + batch["text"]) @ batch["video"].t()
    assert value(fused, batch, inputs(5)) == pytest.approx(masked_margin_softmax(similarity).item())
    left = {name: view[[0, 1, 3]] for name, view in batch.items()}
    part = inputs(5, absent={"audio": [2], "text": [4]})
    assert value(fused, batch, part) == pytest.approx(value(fused, left, inputs(3)))


def test_mil_nce_without_candidates_that_are_not_there():
    batch = {"video": vectors(4, 5), "text": vectors(4, 3, 5, seed=1)}
    there = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 0, 1]], dtype=torch.bool)
    similarity = torch.einsum("id,jcd->ijc", batch["video"], batch["text"])
    expected = 0.0
    for i in range(4):
        total = lambda j, video: sum(  # noqa: E731
            math.exp(v) for v, t in zip(similarity[video, j], there[j], strict=True) if t
        )
        denominator = sum(total(j, i) for j in range(4)) + sum(total(i, j) for j in range(4))
        expected -= math.log(total(i, i) / denominator) / 4
    options = MilNceOptions(kind="mil_nce", candidates=3)
    found = value(options, batch, inputs(4, candidates_there=there))
    assert found == pytest.approx(expected)
    full = inputs(4, candidates_there=torch.ones_like(there))
    assert value(options, batch, full) == pytest.approx(mil_nce(similarity).item())
    rows = torch.tensor([0, 1, 3])
    part = inputs(4, absent={"text": [2]}, candidates_there=there)
    left = inputs(3, candidates_there=there[rows])
    assert value(options, batch, part) == pytest.approx(
        value(options, reordered(batch, rows), left)
    )
    masked = options.model_copy(update={"same_video": "masked"})
    assert value(masked, batch, inputs(4, 2, candidates_there=there), 2) < expected


def test_everything_at_once_is_the_weighted_mean():
    sides = ("t", "v", "a", "tv", "ta", "va")
    batch = {side: vectors(5, 4, seed=i) for i, side in enumerate(sides)}
    unit = {side: view / view.norm(dim=1, keepdim=True) for side, view in batch.items()}
    options = EverythingAtOnceOptions(kind="everything_at_once")
    loss = lambda x, y, rows: norm_softmax(unit[x][rows] @ unit[y][rows].t()).item()  # noqa: E731
    every = list(range(5))
    expected = loss("t", "v", every)
    for x, y in (("t", "a"), ("v", "a"), ("t", "va"), ("v", "ta"), ("a", "tv")):
        expected += 0.1 * loss(x, y, every)
    assert value(options, batch, inputs(5)) == pytest.approx(expected / 1.5)
    deaf = inputs(5, absent={"audio": every})
    assert value(options, batch, deaf) == pytest.approx(loss("t", "v", every))
    few = inputs(5, absent={"audio": [0, 1]})
    expected = loss("t", "v", every)
    for x, y in (("t", "a"), ("v", "a"), ("t", "va"), ("v", "ta"), ("a", "tv")):
        expected += 0.1 * loss(x, y, [2, 3, 4])
    assert value(options, batch, few) == pytest.approx(expected / 1.5)
