"""Max-margin ranking against loops, with the published weights and constants."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcn.objectives import max_margin_ranking
from mcn.objectives.max_margin import video_weights


def brute_force(s, clips, margin, rate):
    videos, total = len(s) // clips, 0.0
    for i in range(len(s)):
        for j in range(len(s)):
            weight = 1.0
            if clips > 1:
                same = i // clips == j // clips
                weight = videos * rate if same else videos * (1 - rate) / (videos - 1)
            hinge = max(0.0, margin + s[i, j] - s[i, i]) + max(0.0, margin + s[i, j] - s[j, j])
            total += weight * hinge
    return total / len(s) ** 2


@settings(max_examples=60, deadline=None)
@given(
    videos=st.integers(1, 4),
    clips=st.integers(1, 4),
    margin=st.floats(0, 2),
    rate=st.floats(0, 1),
    seed=st.integers(0, 10**6),
)
def test_is_the_released_loss(videos, clips, margin, rate, seed):
    s = np.random.default_rng(seed).normal(size=(videos * clips,) * 2)
    ours = max_margin_ranking(torch.tensor(s), clips, margin, rate).item()
    assert ours == pytest.approx(brute_force(s, clips, margin, rate), rel=1e-10, abs=1e-12)


def test_published_weights():
    weights = video_weights(32, 0.5)
    assert weights[3, 3].item() == 16
    assert weights[3, 4].item() == pytest.approx(0.516, abs=5e-4)
    same, other = weights.trace().item(), (weights.sum() - weights.trace()).item()
    assert same == pytest.approx(other)  # at rate 1/2 both kinds of pairs weigh alike
    assert weights.mean().item() == pytest.approx(1.0)


def test_the_diagonal_adds_its_constant():
    separated = torch.eye(6, dtype=torch.float64) * 10  # every pair but the diagonal is satisfied
    constant = 2 * 0.1 * 6 / 36
    assert max_margin_ranking(separated).item() == pytest.approx(constant)
    weighted = max_margin_ranking(separated, clips_per_video=2)  # 3 videos: w_ii = 1.5
    assert weighted.item() == pytest.approx(1.5 * constant)


@pytest.mark.parametrize("clips", [1, 3])
def test_permuting_videos_and_clips_changes_nothing(clips):
    s = torch.randn(12, 12, dtype=torch.float64)
    videos = torch.randperm(12 // clips, generator=torch.Generator().manual_seed(0))
    order = (videos[:, None] * clips + torch.randperm(clips)).flatten()
    loss = max_margin_ranking(s, clips)
    assert max_margin_ranking(s[order][:, order], clips).item() == pytest.approx(loss.item())
    assert max_margin_ranking(s.T, clips).item() == pytest.approx(loss.item())


def test_single_items():
    assert max_margin_ranking(torch.zeros(1, 1)).item() == pytest.approx(0.2)
    one_video = max_margin_ranking(torch.eye(3), clips_per_video=3)
    assert torch.isfinite(one_video)


def test_half_precision_and_large_values():
    s = (torch.randn(8, 8) * 1e4).half()
    loss = max_margin_ranking(s, 2)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(max_margin_ranking(s.double(), 2).item(), rel=1e-6)


def test_gradient():
    s = torch.randn(6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: max_margin_ranking(x, 2), (s,))


def test_refusals():
    with pytest.raises(ValueError, match="do not divide"):
        max_margin_ranking(torch.zeros(5, 5), clips_per_video=2)
    with pytest.raises(ValueError, match="must be"):
        max_margin_ranking(torch.zeros(4, 2))
