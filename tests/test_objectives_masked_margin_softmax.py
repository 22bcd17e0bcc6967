"""Masked margin softmax against loops, a library, and its own symmetries."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.special import logsumexp

from mcn.objectives import masked_margin_softmax

squares = st.integers(1, 7).flatmap(
    lambda n: arrays(np.float64, (n, n), elements=st.floats(-20, 20, width=32))
)


def brute_force(s, margin):
    """The printed equation, term by term."""
    total = 0.0
    for i in range(len(s)):
        positive = math.exp(s[i, i] - margin)
        rows = sum(math.exp(s[i, j]) for j in range(len(s)) if j != i)
        columns = sum(math.exp(s[k, i]) for k in range(len(s)) if k != i)
        total -= math.log(positive / (positive + columns)) + math.log(positive / (positive + rows))
    return total / len(s)


@settings(max_examples=60, deadline=None)
@given(s=squares, margin=st.floats(0, 1))
def test_is_the_printed_equation(s, margin):
    ours = masked_margin_softmax(torch.tensor(s), margin).item()
    assert ours == pytest.approx(brute_force(s, margin), rel=1e-9, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(s=squares, seed=st.integers(0, 99))
def test_permuting_or_transposing_changes_nothing(s, seed):
    order = np.random.default_rng(seed).permutation(len(s))
    loss = masked_margin_softmax(torch.tensor(s)).item()
    assert masked_margin_softmax(torch.tensor(s[order][:, order])).item() == pytest.approx(loss)
    assert masked_margin_softmax(torch.tensor(s.T)).item() == pytest.approx(loss)
    assert masked_margin_softmax(torch.tensor(s + 3.0)).item() == pytest.approx(loss, abs=1e-9)


def test_margin_zero_is_cross_entropy_both_ways():
    s = torch.randn(6, 6, dtype=torch.float64)
    target = torch.arange(6)
    expected = F.cross_entropy(s, target) + F.cross_entropy(s.T, target)
    assert masked_margin_softmax(s, 0.0).item() == pytest.approx(expected.item())
    assert masked_margin_softmax(s).item() > expected.item()  # the margin makes it harder


def test_a_single_pair_costs_nothing():
    s = torch.tensor([[5.0]], requires_grad=True)
    loss = masked_margin_softmax(s)
    loss.backward()
    assert loss.item() == 0.0
    assert s.grad.item() == 0.0


def test_equal_similarities_cost_log_of_the_batch_twice():
    loss = masked_margin_softmax(torch.zeros(8, 8), margin=0.0)
    assert loss.item() == pytest.approx(2 * math.log(8))


@pytest.mark.parametrize("sign", [1, -1])
def test_large_logits_neither_overflow_nor_lose_their_gradient(sign):
    s = (sign * 1e4 * torch.eye(5) + torch.randn(5, 5)).requires_grad_()
    loss = masked_margin_softmax(s)
    loss.backward()
    x = s.detach().double().numpy() - 0.001 * np.eye(5)
    expected = np.mean(logsumexp(x, 1) + logsumexp(x, 0) - 2 * np.diag(x))
    assert loss.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert torch.isfinite(s.grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_reduced_in_float32(dtype):
    s = (torch.randn(64, 64) * 8).to(dtype)
    loss = masked_margin_softmax(s)
    assert loss.dtype == torch.float32
    # the margin is far below half precision's spacing here: it must survive
    assert loss.item() == pytest.approx(masked_margin_softmax(s.double()).item(), rel=1e-6)


def test_gradient():
    s = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(masked_margin_softmax, (s,))


@settings(max_examples=20, deadline=None)
@given(shape=array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
def test_other_shapes_are_refused(shape):
    if len(shape) == 2 and shape[0] == shape[1] > 0:
        return
    with pytest.raises(ValueError, match="must be"):
        masked_margin_softmax(torch.zeros(shape))
