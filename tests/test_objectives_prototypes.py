"""Sinkhorn's codes against numpy in float64, swapped prediction against loops, frozen prototypes."""

import numpy as np
import pytest
import torch

from mcn.objectives.mcn import MultimodalClusteringObjective
from mcn.objectives.prototypes import Prototypes, sinkhorn, swapped_prediction
from mcn.options.clustering import ClusteringOptions
from tests.objective_inputs import inputs, setting, vectors, views


def numpy_sinkhorn(scores, epsilon, iterations):
    q = np.exp(scores / epsilon)
    for _ in range(iterations):
        q /= q.sum(axis=0)
        q /= q.sum(axis=1, keepdims=True)
    return q


def test_codes():
    scores = vectors(12, 4).clamp(-1, 1)
    codes = sinkhorn(scores, 0.2, 3)
    np.testing.assert_allclose(codes.numpy(), numpy_sinkhorn(scores.numpy(), 0.2, 3), rtol=1e-10)
    balanced = sinkhorn(scores, 0.2, 200)
    torch.testing.assert_close(balanced.sum(dim=1), torch.ones(12, dtype=torch.float64))
    torch.testing.assert_close(balanced.sum(dim=0), torch.full((4,), 3.0, dtype=torch.float64))
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(sinkhorn(scores[:, order], 0.2, 3), codes[:, order])
    assert torch.isfinite(sinkhorn(scores * 1e4, 0.05, 3)).all()


def test_equal_scores_give_equal_codes():
    torch.testing.assert_close(sinkhorn(torch.zeros(6, 3), 0.05, 3), torch.full((6, 3), 1 / 3))


def test_swapped_prediction_is_the_formula():
    scores = {name: vectors(5, 3, seed=i).tanh() for i, name in enumerate(("v", "a", "t"))}
    total = []
    for x in scores:
        for y in scores:
            if x != y:
                codes = numpy_sinkhorn(scores[y].numpy(), 0.1, 2)
                logits = scores[x].numpy() / 0.5
                log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
                total.append(-(codes * log_p).sum(axis=1).mean())
    loss = swapped_prediction(scores, 0.5, 0.1, 2)
    assert loss.item() == pytest.approx(np.mean(total))


def test_only_scores_and_not_codes_carry_gradient():
    x, y = (vectors(4, 3, seed=i).requires_grad_() for i in range(2))
    codes = {"x": sinkhorn(x.detach(), 0.1, 3), "y": sinkhorn(y.detach(), 0.1, 3)}
    swapped_prediction({"x": x, "y": y}, 1.0, 0.1, 3).backward()
    expected = (x.detach().softmax(dim=1) - codes["y"]) / 4 / 2
    torch.testing.assert_close(x.grad, expected)


def test_frozen_prototypes_do_not_learn_but_heads_do():
    head = Prototypes(5, 4, 3)
    embeddings = torch.randn(6, 5)
    head(embeddings, frozen=True).sum().backward()
    assert head.prototypes.weight.grad is None
    assert head.head[0].weight.grad is not None
    cosines = head(embeddings)
    assert cosines.abs().max() <= 1 + 1e-6


def test_in_the_whole_objective():
    options = ClusteringOptions(
        cluster_by="prototypes", clusters=3, prototype_width=4, reconstruction_weight=0
    )
    objective = MultimodalClusteringObjective(options, setting(6))
    batch = {name: view.float().requires_grad_() for name, view in views(6).items()}
    weight = objective.heads["prototypes"].prototypes.weight
    for epoch, learns in ((1, False), (2, True)):
        objective.start_epoch()
        terms = objective.losses(batch, inputs(6))
        weight.grad = None
        sum(terms.values()).backward()
        assert (weight.grad is not None) == learns, epoch
    assert set(terms) == {"contrast", "cluster"}
    few = objective.losses(batch, inputs(6, absent={"audio": [0, 1, 2, 3, 4]}))
    assert few["cluster"].item() == 0
