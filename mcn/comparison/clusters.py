"""How well clusters of embeddings match true labels: purity and normalised mutual information.

    purity = 1/N sum_k max_l n_kl;      NMI = I(K; L) / ((H(K) + H(L)) / 2),  1 where both are constant

Only labels that occur twice or more are clustered: an item alone of its kind agrees with any cluster. k-means (cosine,
as in training) runs on unit vectors with as many clusters as there are labels, from several seeds; the mean over them
is given. With many labels and few items both measures are high by chance alone: chance is that of shuffled labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from mcn.objectives.clustering import kmeans


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
    """(N, d) embeddings and their labels -> purity, NMI and the same by chance, in percent.

    Nothing where no label occurs twice.
    """
    frequency = Counter(labels)
    kept = np.array([frequency[label] > 1 for label in labels], bool)
    if not kept.any():
        return {}
    truth = np.array(labels)[kept]
    points = torch.nn.functional.normalize(torch.from_numpy(vectors[kept]).float(), dim=1)
    rng = np.random.default_rng(seed)
    found: list[list[float]] = []
    for run in range(runs):
        _, assigned = kmeans(points, len(set(truth)), "cosine", seed=seed + run)
        tables = [counts_of(assigned.numpy(), one) for one in (truth, rng.permutation(truth))]
        found.append(
            [measure(one) for one in tables for measure in (purity, normalized_mutual_information)]
        )
    means = 100 * np.mean(found, axis=0)
    return dict(zip(("purity", "NMI", "chance purity", "chance NMI"), means.tolist(), strict=True))
