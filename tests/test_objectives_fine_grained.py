"""Frame-word similarity against loops; padding, order and single units."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcn.objectives import norm_softmax
from mcn.objectives.fine_grained import FineGrainedObjective, unit_similarity, weighted_nce
from mcn.options.clip_parts import FineGrainedOptions
from tests.objective_inputs import inputs, setting, vectors


def softmax(values):
    top = max(values)
    weights = [math.exp(v - top) for v in values]
    return [w / sum(weights) for w in weights]


def brute_force(parts, words, temperature):
    """S and sharpness of one clip and one text, all units there."""
    s = [[float(p @ w) for w in words] for p in parts]
    of_words = of_parts = sharp = 0.0
    for q in range(len(words)):
        a = softmax([row[q] / temperature for row in s])
        of_words += sum(x * row[q] for x, row in zip(a, s, strict=True)) / len(words)
        sharp += max(a) / len(words)
    for row in s:
        b = softmax([x / temperature for x in row])
        of_parts += sum(x * y for x, y in zip(b, row, strict=True)) / len(parts)
    return (of_words + of_parts) / 2, sharp


@settings(max_examples=25, deadline=None)
@given(
    clips=st.integers(1, 3),
    parts=st.integers(1, 4),
    words=st.integers(1, 4),
    seed=st.integers(0, 10**6),
)
def test_is_the_formula_and_ignores_padding(clips, parts, words, seed):
    v, w = (
        vectors(clips, parts, 3, seed=seed, unit=True),
        vectors(clips, words, 3, seed=seed + 1, unit=True),
    )
    generator = torch.Generator().manual_seed(seed)
    parts_there = torch.rand(clips, parts, generator=generator) < 0.6
    words_there = torch.rand(clips, words, generator=generator) < 0.6
    parts_there[:, 0] = words_there[:, -1] = True
    similarity, sharpness = unit_similarity(v, parts_there, w, words_there, 0.2)
    for i in range(clips):
        for j in range(clips):
            expected = brute_force(v[i][parts_there[i]], w[j][words_there[j]], 0.2)
            assert similarity[i, j].item() == pytest.approx(expected[0])
            assert sharpness[i, j].item() == pytest.approx(expected[1])


def objective(**options):
    chosen = FineGrainedOptions(kind="fine_grained", **options)
    return FineGrainedObjective(chosen, setting(4))


def batch(parts=3, words=2):
    views = {
        "parts": vectors(4, parts, 5, unit=True),
        "words": vectors(4, words, 5, seed=1, unit=True),
    }
    return views, {"units": torch.ones(4, parts, 1), "words": torch.ones(4, words, 1)}


def test_single_units_are_normalised_softmax():
    views, given_units = batch(1, 1)
    loss = objective().losses(views, inputs(4, **given_units))["contrast"]
    plain = norm_softmax(views["parts"][:, 0] @ views["words"][:, 0].t())
    assert loss.item() == pytest.approx(plain.item())


def test_order_of_units_and_clips_changes_nothing():
    views, given_units = batch()
    loss = objective().losses(views, inputs(4, **given_units))["contrast"].item()
    turned = {"parts": views["parts"].flip(1), "words": views["words"].flip(1)}
    assert objective().losses(turned, inputs(4, **given_units))["contrast"].item() == pytest.approx(
        loss
    )
    order = torch.tensor([2, 0, 3, 1])
    mixed = {name: view[order] for name, view in views.items()}
    assert objective().losses(mixed, inputs(4, **given_units))["contrast"].item() == pytest.approx(
        loss
    )


def test_clips_without_a_unit_take_no_part():
    views, given_units = batch()
    given_units["words"][1] = 0
    rest = torch.tensor([0, 2, 3])
    left = {name: view[rest] for name, view in views.items()}
    expected = objective().losses(
        left, inputs(3, units=torch.ones(3, 3, 1), words=torch.ones(3, 2, 1))
    )
    loss = objective().losses(views, inputs(4, **given_units))["contrast"]
    assert loss.item() == pytest.approx(expected["contrast"].item())
    given_units["units"][:] = 0
    assert objective().losses(views, inputs(4, **given_units))["contrast"].item() == 0


def test_vague_pairs_weigh_less():
    """Words of text 0 pick one part each, words of text 1 none."""
    parts = torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    words = torch.stack([torch.eye(3, dtype=torch.float64)[:2], torch.full((2, 3), 3**-0.5)])
    there = torch.ones(2, 3, dtype=torch.bool), torch.ones(2, 2, dtype=torch.bool)
    _, sharpness = unit_similarity(parts, there[0], words, there[1], 0.1)
    assert sharpness[0, 0] > 0.99
    assert sharpness[1, 1].item() == pytest.approx(1 / 3)
    similarity = vectors(2, 2)
    alone = weighted_nce(similarity, torch.tensor([1.0, 0.0]), 0.5)
    logits = similarity / 0.5
    expected = -logits[0].log_softmax(0)[0] - logits[:, 0].log_softmax(0)[0]
    assert alone.item() == pytest.approx(expected.item())


def test_gradient():
    v, w = (vectors(2, 2, 3, seed=i).requires_grad_() for i in range(2))
    there = torch.tensor([[True, True], [True, False]])
    weights = torch.tensor([0.4, 1.0], dtype=torch.float64)

    def loss(parts, words):
        similarity, _ = unit_similarity(parts, there, words, there, 0.3)
        return weighted_nce(similarity, weights, 0.5)

    assert torch.autograd.gradcheck(loss, (v, w))
