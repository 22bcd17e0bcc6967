"""How well clusters of embeddings match true labels: purity and normalised mutual information.

    purity = 1/N sum_k max_l n_kl;      NMI = I(K; L) / ((H(K) + H(L)) / 2),  1 where both are constant

k-means (cosine, as in training) runs on unit vectors with as many clusters as there are labels, from several seeds; the
mean over them is given. Purity of n clusters is never below the share of the most frequent label: chance is the same
for shuffled labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mcn.clustering import kmeans


def counts_of(clusters: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,), (N,) -> (clusters, labels) numbers of items."""
    _, rows = np.unique(clusters, return_inverse=True)
    _, columns = np.unique(labels, return_inverse=True)
    counts = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(counts, (rows, columns), 1)
    return counts


def purity(counts: np.ndarray) -> float:
    """Share of the items that are of their cluster's most frequent label."""
    return float(counts.max(axis=1).sum() / counts.sum())


def normalized_mutual_information(counts: np.ndarray) -> float:
    """In [0, 1], arithmetic mean of the entropies below the fraction line."""
    joint = counts / counts.sum()
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    entropies = _entropy(rows) + _entropy(columns)
    information = entropies - _entropy(joint.ravel())
    return float(2 * information / entropies) if entropies else 1.0


def _entropy(probabilities: np.ndarray) -> float:
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log(positive)).sum())


def agreement(vectors: np.ndarray, labels: Sequence[str], runs: int, seed: int) -> dict[str, float]:
    """(N, d) embeddings and their labels -> purity, NMI, chance purity (shuffled labels), in percent."""
    truth = np.array(labels)
    points = torch.nn.functional.normalize(torch.from_numpy(vectors).float(), dim=1)
    rng = np.random.default_rng(seed)
    found: list[tuple[float, float, float]] = []
    for run in range(runs):
        _, assigned = kmeans(points, len(set(labels)), "cosine", seed=seed + run)
        counts = counts_of(assigned.numpy(), truth)
        shuffled = counts_of(assigned.numpy(), rng.permutation(truth))
        found.append((purity(counts), normalized_mutual_information(counts), purity(shuffled)))
    means = 100 * np.mean(found, axis=0)
    return dict(zip(("purity", "NMI", "chance purity"), means.tolist(), strict=True))
