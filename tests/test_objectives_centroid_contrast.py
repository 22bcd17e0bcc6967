"""Centroid contrast, the paper's form and the released one, against loops."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mcn.objectives import centroid_contrast


def brute_force(x, centroids, assignments, margin, in_denominator):
    total = 0.0
    for embedding, mine in zip(x, assignments, strict=True):
        positive = float(embedding @ centroids[mine])
        denominator = 0.0
        for k, centroid in enumerate(centroids):
            shift = margin if in_denominator and k == mine else 0.0
            denominator += math.exp(float(embedding @ centroid) - shift)
        total -= positive - margin - math.log(denominator)
    return total / len(x)


def problem(size=5, clusters=4, width=3, seed=0):
    rng = np.random.default_rng(seed)
    centroids = rng.normal(size=(clusters, width))
    return rng.normal(size=(size, width)), centroids, rng.integers(0, clusters, size)


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 6),
    clusters=st.integers(1, 5),
    margin=st.floats(0, 2),
    in_denominator=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_both_forms(size, clusters, margin, in_denominator, seed):
    arrays = problem(size, clusters, seed=seed)
    ours = centroid_contrast(*map(torch.tensor, arrays), margin, in_denominator).item()
    assert ours == pytest.approx(brute_force(*arrays, margin, in_denominator), rel=1e-9, abs=1e-9)


def test_without_a_margin_both_are_cross_entropy():
    x, centroids, assignments = map(torch.tensor, problem())
    expected = F.cross_entropy(x @ centroids.T, assignments).item()
    for in_denominator in (True, False):
        loss = centroid_contrast(x, centroids, assignments, 0.0, in_denominator)
        assert loss.item() == pytest.approx(expected)


def test_released_form_is_the_default():
    x, centroids, assignments = problem()
    ours = centroid_contrast(*map(torch.tensor, (x, centroids, assignments))).item()
    assert ours == pytest.approx(brute_force(x, centroids, assignments, 0.001, True), rel=1e-12)


def test_renaming_clusters_or_items_changes_nothing():
    x, centroids, assignments = map(torch.tensor, problem(clusters=4))
    loss = centroid_contrast(x, centroids, assignments).item()
    names = torch.tensor([2, 0, 3, 1])
    renamed = centroid_contrast(x, centroids[names], names.argsort()[assignments])
    assert renamed.item() == pytest.approx(loss)
    order = torch.tensor([4, 2, 0, 1, 3])
    assert centroid_contrast(x[order], centroids, assignments[order]).item() == pytest.approx(loss)


def test_gradient_reaches_embeddings_and_not_centroids():
    x, centroids, assignments = map(torch.tensor, problem())
    x, centroids = x.requires_grad_(), centroids.requires_grad_()
    for form in (True, False):
        assert torch.autograd.gradcheck(
            lambda v, form=form: centroid_contrast(v, centroids, assignments, 0.1, form), (x,)
        )
    centroid_contrast(x, centroids, assignments).backward()
    assert centroids.grad is None


def test_empty_clusters_count_as_zero_logits():
    x, centroids, assignments = problem()
    centroids[1], assignments[:] = 0, 0
    ours = centroid_contrast(*map(torch.tensor, (x, centroids, assignments))).item()
    assert ours == pytest.approx(brute_force(x, centroids, assignments, 0.001, True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_large_logits(dtype):
    x, centroids, assignments = map(torch.tensor, problem(8, 6, 16))
    x, centroids = (x * 30).to(dtype), (centroids * 30).to(dtype)
    exact = centroid_contrast(x.double(), centroids.double(), assignments).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):  # the products must not fall to bfloat16
        loss = centroid_contrast(x, centroids, assignments)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact, rel=1e-5)
    huge = centroid_contrast(x.float() * 100, centroids.float(), assignments)
    assert torch.isfinite(huge)
