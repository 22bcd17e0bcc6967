"""How well clusters of embeddings match true labels: purity and normalised mutual information.

    purity = 1/N sum_k max_l n_kl;      NMI = I(K; L) / ((H(K) + H(L)) / 2),  1 where both are constant

With many labels and few items both are high by chance alone: chance is that of shuffled labels.
"""

from __future__ import annotations

import numpy as np


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
