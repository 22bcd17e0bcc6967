"""K-means against loops, scikit-learn and its own definition; the feature queue; the health figures."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics.pairwise import cosine_similarity

from mcn.errors import UserError
from mcn.objectives import clustering
from mcn.objectives.clustering import FeatureQueue, assign, clips_pushed, cluster_health, kmeans


def released_loop(points, centroids, iterations, tolerance):
    """Cosine k-means as the released library does it: rows normalised, one-hot means, NaN to zero."""
    for _ in range(iterations):
        labels = cosine_similarity(points, centroids).argmax(1)
        moved = np.zeros_like(centroids)
        for k in range(len(centroids)):
            if (labels == k).any():
                moved[k] = points[labels == k].mean(0)
        movement = ((moved - centroids) ** 2).sum()
        centroids = moved
        if movement <= tolerance:
            break
    return centroids, labels


def blobs(count=300, width=6, groups=5, spread=0.6, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(groups, width)) * 3
    return centres[rng.integers(0, groups, count)] + rng.normal(size=(count, width)) * spread


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 60),
    clusters=st.integers(1, 9),
    iterations=st.integers(1, 12),
    seed=st.integers(0, 10**6),
)
def test_cosine_is_the_released_algorithm(count, clusters, iterations, seed):
    rng = np.random.default_rng(seed)
    points, init = rng.normal(size=(count, 4)), rng.normal(size=(clusters, 4))
    expected = released_loop(points, init, iterations, 1e-4)
    ours = kmeans(
        torch.tensor(points), clusters, init=torch.tensor(init), max_iterations=iterations
    )
    np.testing.assert_allclose(ours[0], expected[0], atol=1e-12)
    np.testing.assert_array_equal(ours[1], expected[1])


@pytest.mark.parametrize("seed", range(4))
def test_euclidean_is_scikit_learns_from_the_same_start(seed):
    points = blobs(seed=seed)
    init = points[np.random.default_rng(seed).choice(len(points), 5, replace=False)]
    theirs = KMeans(5, init=init, n_init=1, algorithm="lloyd", tol=0, max_iter=300).fit(points)
    centroids, assignments = kmeans(
        torch.tensor(points), 5, "euclidean", torch.tensor(init), 300, tolerance=0
    )
    np.testing.assert_allclose(centroids, theirs.cluster_centers_, atol=1e-9)
    np.testing.assert_array_equal(assignments, theirs.labels_)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_result_is_a_fixed_point(metric):
    points = torch.tensor(blobs())
    centroids, assignments = kmeans(points, 5, metric, tolerance=0)
    assert torch.equal(assign(points, centroids, metric), assignments)
    for k in assignments.unique():
        torch.testing.assert_close(centroids[k], points[assignments == k].mean(0))
    again = kmeans(points, 5, metric, init=centroids)
    torch.testing.assert_close(again[0], centroids)
    assert torch.equal(again[1], assignments)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_permuting_points_permutes_assignments(metric):
    points, init = torch.tensor(blobs()), torch.tensor(blobs(5, seed=9))
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))
    centroids, assignments = kmeans(points, 5, metric, init)
    permuted = kmeans(points[order], 5, metric, init)
    torch.testing.assert_close(permuted[0], centroids)
    assert torch.equal(permuted[1], assignments[order])


def test_cosine_ignores_the_length_of_points_when_assigning_only():
    points, init = torch.tensor(blobs()), torch.tensor(blobs(5, seed=9))
    scale = torch.rand(len(points), 1, dtype=torch.float64) * 5 + 0.1
    assert torch.equal(assign(points, init), assign(points * scale, init * 7))
    # centroids are means of the members as they are: longer members pull harder
    assert not torch.allclose(kmeans(points, 5)[0], kmeans(points * scale, 5)[0])


def test_assignments_are_those_the_centroids_are_means_of():
    points = torch.tensor(blobs(spread=3.0))
    centroids, assignments = kmeans(points, 5, max_iterations=1)
    for k in assignments.unique():
        torch.testing.assert_close(centroids[k], points[assignments == k].mean(0))
    assert not torch.equal(assignments, assign(points, centroids))


@pytest.mark.parametrize(
    ("metric", "empty", "expected"),
    [
        ("cosine", None, 0.0),
        ("cosine", "previous", -1.0),
        ("euclidean", None, -50.0),
        ("euclidean", "zero", 0.0),
    ],
)
def test_empty_clusters_by_policy(metric, empty, expected):
    points = torch.tensor([[1.0, 0.1], [1.2, 0.0], [0.0, 1.0]])
    far = -1.0 if metric == "cosine" else -50.0
    init = torch.tensor([[1.0, 0.0], [far, far], [0.0, 1.0]])
    centroids, assignments = kmeans(points, 3, metric, init, empty=empty, max_iterations=1)
    assert assignments.tolist() == [0, 0, 2]
    assert centroids[1].tolist() == [expected, expected]
    assert torch.isfinite(kmeans(points, 3, metric, init, empty=empty)[0]).all()


def test_random_start_is_distinct_rows_and_seeded():
    points = torch.arange(40, dtype=torch.float32).reshape(20, 2)
    first = kmeans(points, 20, "euclidean", seed=3)
    assert sorted(first[1].tolist()) == list(range(20))
    assert torch.equal(kmeans(points, 20, "euclidean", seed=3)[0], first[0])
    assert not torch.equal(kmeans(points, 20, "euclidean", seed=4)[0], first[0])


def test_movement_below_the_tolerance_stops(monkeypatch):
    calls = []
    monkeypatch.setattr(clustering, "assign", lambda *a: calls.append(1) or assign(*a))
    points = torch.tensor(blobs(spread=3.0))
    kmeans(points, 5, tolerance=1e9)
    assert len(calls) == 1
    kmeans(points, 5, tolerance=0, max_iterations=3)
    assert len(calls) == 4


def test_chunks_change_nothing(monkeypatch):
    points = torch.tensor(blobs())
    whole = kmeans(points, 5)
    monkeypatch.setattr(clustering, "ROWS_AT_ONCE", 7)
    torch.testing.assert_close(kmeans(points, 5), whole)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_points_are_clustered_in_float32(dtype):
    points = (torch.tensor(blobs()) * 100).to(dtype)  # sums beyond float16
    init = torch.tensor(blobs(5, seed=9))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        centroids, assignments = kmeans(points, 5, init=init.to(dtype))
    expected = kmeans(points.double(), 5, init=init.to(dtype).double())
    assert centroids.dtype == torch.float32
    torch.testing.assert_close(centroids.double(), expected[0], rtol=1e-5, atol=1e-3)
    assert torch.equal(assignments, expected[1])


def test_no_gradient_and_inputs_untouched():
    points = torch.tensor(blobs()).requires_grad_()
    init = torch.tensor(blobs(5, seed=9))
    before = init.clone()
    centroids, _ = kmeans(points, 5, init=init)
    assert not centroids.requires_grad
    assert torch.equal(init, before)


def test_refusals():
    points = torch.randn(4, 3)
    with pytest.raises(UserError, match="4 points for 5 clusters"):
        kmeans(points, 5)
    with pytest.raises(ValueError, match="init"):
        kmeans(points, 2, init=torch.zeros(2, 4))
    with pytest.raises(ValueError, match="NaN"):
        kmeans(points / 0 * 0, 2)
    with pytest.raises(ValueError, match="metric"):
        kmeans(points, 2, "manhattan")
    with pytest.raises(ValueError, match="max_iterations"):
        kmeans(points, 2, max_iterations=0)
    with pytest.raises(ValueError, match="points must be"):
        kmeans(points[:0], 2, init=points[:2])


def test_health():
    assignments = torch.tensor([0, 0, 0, 2])
    previous = torch.tensor([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
    centroids = previous + torch.tensor([[0.0, 0.0], [0.3, 0.4], [0.0, 0.0]])
    health = cluster_health(assignments, 3, centroids, previous)
    assert health.used == 2
    assert health.largest_share == 0.75
    assert health.drift == pytest.approx(0.5 / 5)
    assert cluster_health(assignments, 3, centroids).drift is None
    assert cluster_health(assignments, 3, centroids, torch.zeros(3, 2)).drift is None


def test_queue_takes_the_first_half_of_each_videos_clips():
    queue = FeatureQueue(12, 1)
    queue.push(torch.arange(12.0)[:, None], clips_per_video=4)  # three videos
    assert queue.rows().flatten().tolist() == [0, 1, 4, 5, 8, 9]
    assert [clips_pushed(n) for n in (1, 2, 3, 32)] == [1, 1, 1, 16]


def test_queue_joins_only_when_full_and_keeps_the_newest():
    queue = FeatureQueue.for_batches(2, videos=2, clips_per_video=4, width=1)
    assert len(queue.buffer) == 8
    batches = [torch.arange(8.0)[:, None] + 10 * step for step in range(4)]
    for step, batch in enumerate(batches):
        seen = queue.with_batch(batch)
        if step < 2:
            assert torch.equal(seen, batch)
        else:
            assert torch.equal(seen[-8:], batch)  # the batch comes last, so labels[-B:] are its own
            old = {10 * s + i for s in (step - 2, step - 1) for i in (0, 1, 4, 5)}
            assert set(seen[:8].flatten().tolist()) == old
        queue.push(batch, 4)
    assert queue.full


@settings(max_examples=60, deadline=None)
@given(capacity=st.integers(1, 12), sizes=st.lists(st.integers(0, 20), max_size=8))
def test_queue_holds_the_newest_rows(capacity, sizes):
    queue, pushed = FeatureQueue(capacity, 2), []
    for size in sizes:
        start = len(pushed)
        pushed += range(start, start + size)
        queue.push(torch.arange(start, start + size, dtype=torch.float32)[:, None].repeat(1, 2))
        assert sorted(queue.rows()[:, 0].tolist()) == pushed[-capacity:]
        assert len(queue) == min(capacity, len(pushed))


def test_queue_resumes_exactly(tmp_path):
    queue = FeatureQueue(6, 3)
    queue.push(torch.randn(4, 3).requires_grad_())
    torch.save(queue.state_dict(), tmp_path / "queue.pt")
    resumed = FeatureQueue(6, 3)
    resumed.load_state_dict(torch.load(tmp_path / "queue.pt", weights_only=True))
    batch = torch.randn(4, 3)
    for one in (queue, resumed):
        one.push(batch)
    assert torch.equal(queue.buffer, resumed.buffer)
    assert (queue.position, queue.filled) == (resumed.position, resumed.filled)
    assert not queue.buffer.requires_grad
    with pytest.raises(UserError, match="feature queue"):
        FeatureQueue(5, 3).load_state_dict(queue.state_dict())


def test_queue_refusals():
    with pytest.raises(ValueError, match="does not fit"):
        FeatureQueue(6, 3).push(torch.zeros(5, 3), clips_per_video=2)
    with pytest.raises(ValueError, match="does not fit"):
        FeatureQueue(6, 3).push(torch.zeros(4, 2))
    with pytest.raises(ValueError, match="capacity"):
        FeatureQueue(0, 3)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bad", [[np.nan], [np.inf], [-np.inf], [np.inf, -np.inf]])
def test_points_that_are_not_finite_are_refused_wherever_they_stand(kind, bad):
    points = torch.tensor(blobs(40), dtype=kind)
    points[7:9, 3][: len(bad)] = torch.tensor(bad, dtype=kind)
    with pytest.raises(ValueError, match="NaN or infinite"):
        kmeans(points, 4)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_finite_points_whose_sum_overflows_are_points(kind):
    points = torch.full((20, 3), torch.finfo(kind).max / 2, dtype=kind)
    assert not torch.isfinite(points.sum())
    assert kmeans(points, 2)[1].shape == (20,)
