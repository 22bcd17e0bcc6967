"""MIL-NCE against loops, and its known minimum."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcn.objectives import masked_margin_softmax, mil_nce


def brute_force(x):
    total = 0.0
    for i in range(len(x)):
        positives = sum(math.exp(v) for v in x[i, i])
        row = sum(math.exp(v) for j in range(len(x)) for v in x[i, j])
        column = sum(math.exp(v) for j in range(len(x)) for v in x[j, i])
        total -= math.log(positives / (row + column))
    return total / len(x)


@settings(max_examples=60, deadline=None)
@given(
    clips=st.integers(1, 6),
    candidates=st.integers(1, 5),
    scale=st.floats(0, 10),
    seed=st.integers(0, 10**6),
)
def test_is_the_released_loss(clips, candidates, scale, seed):
    x = np.random.default_rng(seed).normal(size=(clips, clips, candidates)) * scale
    assert mil_nce(torch.tensor(x)).item() == pytest.approx(brute_force(x), rel=1e-9)


def test_minimum_is_log_two():
    x = torch.zeros(5, 5, 3)
    x[range(5), range(5)] = 1e4  # positives dominate; each is in the denominator twice
    assert mil_nce(x).item() == pytest.approx(math.log(2), rel=1e-6)
    assert mil_nce(torch.randn(1, 1, 4)).item() == pytest.approx(math.log(2), rel=1e-6)
    assert mil_nce(torch.randn(7, 7, 2)).item() > math.log(2)


def test_one_candidate_and_no_column_terms_is_bounded_by_cross_entropy():
    s = torch.randn(6, 6, dtype=torch.float64)
    both = masked_margin_softmax(s, 0.0).item()
    assert mil_nce(s[..., None]).item() <= both + math.log(
        2
    )  # log(r + c) <= log r + log c - p + log 2


def test_permutations_change_nothing():
    x = torch.randn(6, 6, 4, dtype=torch.float64)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    loss = mil_nce(x).item()
    assert mil_nce(x[order][:, order]).item() == pytest.approx(loss)
    assert mil_nce(x.flip(2)).item() == pytest.approx(loss)
    assert mil_nce(x - 7).item() == pytest.approx(loss)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_large_logits(dtype):
    x = (torch.randn(4, 4, 2) * 1e4).to(dtype)
    loss = mil_nce(x)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(mil_nce(x.double()).item(), rel=1e-5)


def test_large_common_offset_keeps_small_differences():
    x = torch.randn(4, 4, 2).mul(64).round() / 64  # exact next to 1e4 in float32
    assert mil_nce(x + 1e4).item() == pytest.approx(mil_nce(x).item(), rel=1e-5)


def test_gradient():
    x = torch.randn(4, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mil_nce, (x,))


@pytest.mark.parametrize("shape", [(3, 3), (3, 2, 1), (0, 0, 2), (2, 2, 0)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="must be"):
        mil_nce(torch.zeros(shape))
