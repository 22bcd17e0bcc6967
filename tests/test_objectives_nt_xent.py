"""NT-Xent against the formula with loops, and what windows and modalities it contrasts."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcn.objectives.nt_xent import NtXentObjective, nt_xent
from mcn.options.contrast import NtXentOptions
from tests.objective_inputs import inputs, setting, vectors, views


def brute_force(first, second, temperature, videos=None):
    z = [*first.tolist(), *second.tolist()]
    n = len(first)
    similar = lambda i, k: sum(a * b for a, b in zip(z[i], z[k], strict=True)) / temperature  # noqa: E731
    total = 0.0
    for i in range(2 * n):
        other = (i + n) % (2 * n)
        rivals = [
            k
            for k in range(2 * n)
            if k != i and (k == other or videos is None or videos[k % n] != videos[i % n])
        ]
        total -= similar(i, other) - math.log(sum(math.exp(similar(i, k)) for k in rivals))
    return total / (2 * n)


@settings(max_examples=30, deadline=None)
@given(clips=st.integers(1, 6), temperature=st.floats(0.05, 2), seed=st.integers(0, 10**6))
def test_is_the_formula(clips, temperature, seed):
    pair = vectors(clips, 4, seed=seed, unit=True), vectors(clips, 4, seed=seed + 1, unit=True)
    assert nt_xent(*pair, temperature).item() == pytest.approx(brute_force(*pair, temperature))
    videos = torch.arange(clips) // 2
    masked = nt_xent(*pair, temperature, videos).item()
    assert masked == pytest.approx(brute_force(*pair, temperature, videos.tolist()), abs=1e-12)


def test_properties():
    first, second = vectors(6, 4, unit=True), vectors(6, 4, seed=1, unit=True)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    loss = nt_xent(first, second)
    assert nt_xent(second, first).item() == pytest.approx(loss.item())
    assert nt_xent(first[order], second[order]).item() == pytest.approx(loss.item())
    assert nt_xent(first[:1], second[:1]).item() == 0  # no other clip: nothing to tell apart
    assert nt_xent(first, first).item() < loss.item()
    wide = nt_xent(first.half(), second.half(), 1e-4)  # logits up to 10,000
    assert wide.dtype == torch.float32
    assert torch.isfinite(wide)


def test_gradient():
    pair = [vectors(4, 3, seed=i).requires_grad_() for i in range(2)]
    assert torch.autograd.gradcheck(nt_xent, (*pair, 0.5))
    assert torch.autograd.gradcheck(
        lambda a, b: nt_xent(a, b, 0.5, torch.tensor([0, 0, 1, 1])), pair
    )


@pytest.mark.parametrize(("shape", "temperature"), [((0, 2), 1.0), ((2,), 1.0), ((2, 2), 0.0)])
def test_bad_arguments_are_refused(shape, temperature):
    with pytest.raises(ValueError, match="got"):
        nt_xent(torch.zeros(shape), torch.zeros(shape), temperature)


def test_views_of_windows_and_of_modalities():
    options = NtXentOptions(
        kind="nt_xent", views=("video_video", "video_text"), projection_width=None
    )
    assert options.needs.second == "line"
    assert options.needs.modalities == ("video", "text")
    objective = NtXentObjective(options, setting(4))
    batch = {**views(4, unit=True), "second video": vectors(4, 5, seed=7, unit=True)}
    terms = objective.losses(batch, inputs(4, second=inputs(4, absent={"video": [2]})))
    rows = torch.tensor([0, 1, 3])
    expected = nt_xent(batch["video"][rows], batch["second video"][rows])
    expected = expected + nt_xent(batch["video"], batch["text"])
    assert terms["contrast"].item() == pytest.approx(expected.item())


def test_heads_come_between():
    options = NtXentOptions(kind="nt_xent", projection_width=2)
    objective = NtXentObjective(options, setting(4))
    objective.heads.double()
    batch = {"video": vectors(4, 5), "second video": vectors(4, 5, seed=1)}
    z = [torch.nn.functional.normalize(objective.heads["video"](v), dim=1) for v in batch.values()]
    loss = objective.losses(batch, inputs(4, second=inputs(4)))["contrast"]
    assert loss.item() == pytest.approx(nt_xent(*z).item())
