"""Symmetric InfoNCE against loops and against masked margin softmax without a margin."""

import math

import numpy as np
import pytest
import torch

from mcn.objectives import masked_margin_softmax, norm_softmax


def brute_force(s, temperature):
    total = 0.0
    for i in range(len(s)):
        row = sum(math.exp((s[i, j] - s[i, i]) / temperature) for j in range(len(s)))
        column = sum(math.exp((s[j, i] - s[i, i]) / temperature) for j in range(len(s)))
        total += math.log(row) + math.log(column)
    return total / len(s)


@pytest.mark.parametrize("size", [1, 2, 9])
@pytest.mark.parametrize("temperature", [0.05, 0.3])
def test_is_the_equation(size, temperature):
    s = np.random.default_rng(size).uniform(-1, 1, (size, size))
    ours = norm_softmax(torch.tensor(s), temperature).item()
    assert ours == pytest.approx(brute_force(s, temperature), rel=1e-10, abs=1e-12)


def test_published_temperature_is_the_default():
    s = torch.rand(5, 5, dtype=torch.float64)
    assert norm_softmax(s).item() == pytest.approx(masked_margin_softmax(s / 0.05, 0.0).item())


def test_large_logits_and_half_precision():
    s = torch.tensor([[500.0, -500.0], [500.0, 500.0]], dtype=torch.float16)
    loss = norm_softmax(s)  # over 0.05: +-1e4
    assert loss.item() == pytest.approx((2 * math.log(2) + 0) / 2)
    assert loss.dtype == torch.float32


def test_gradient_and_refusals():
    s = torch.rand(4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm_softmax, (s, 0.5))
    with pytest.raises(ValueError, match="positive"):
        norm_softmax(s, 0.0)
    with pytest.raises(ValueError, match="must be"):
        norm_softmax(s[:2])
