"""Re-rank by shared neighbours: how far two images are apart when their mutual neighbours are counted too.

Zhong et al., "Re-ranking person re-identification with k-reciprocal encoding", 2017, as CAPro (2023) uses it per concept.
"""

from __future__ import annotations

import numpy as np


def reciprocal_distances(queries: np.ndarray, gallery: np.ndarray, *, k_near: int, k_mean: int, share: float) -> np.ndarray:
    """(q, g) float64, smaller = nearer: (1 - share) times the Jaccard distance of k-reciprocal neighbourhoods plus share times the scaled
    squared Euclidean distance (eq. 12).

    queries (q, d), gallery (g, d) float; `k_near` (k1) ranks are neighbours, neighbourhoods are averaged over `k_mean` (k2) ranks. Needs
    (q + g)^2 numbers of memory: call it concept by concept.
    """
    rows = np.concatenate([queries, gallery]).astype(np.float64)
    n, n_queries = len(rows), len(queries)
    if not n_queries or not len(gallery):
        return np.zeros((n_queries, len(gallery)))
    squares = (rows**2).sum(1)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * rows @ rows.T, 0.0)
    np.fill_diagonal(distances, 0.0)
    distances /= np.maximum(distances.max(0, keepdims=True), 1e-12)
    order = np.argsort(distances.T, axis=1, kind="stable")
    weights = _neighbourhoods(distances.T, order, k_near)
    if k_mean > 1:
        weights = np.stack([weights[order[row, :k_mean]].mean(0) for row in range(n)])
    jaccard = np.empty((n_queries, len(gallery)))
    for query in range(n_queries):
        shared = np.minimum(weights[query], weights[n_queries:]).sum(1)
        jaccard[query] = 1 - shared / (2 - shared)
    return np.asarray((1 - share) * jaccard + share * distances.T[:n_queries, n_queries:])


def _neighbourhoods(distances: np.ndarray, order: np.ndarray, k_near: int) -> np.ndarray:
    """(n, n) float64, rows sum to 1: each row's k-reciprocal neighbours, wider where neighbours agree, by exp(-distance)."""
    n = len(distances)
    wide, narrow = _reciprocal(order, k_near), _reciprocal(order, round(k_near / 2))
    weights = np.zeros((n, n))
    for row in range(n):
        members = wide[row].copy()
        for candidate in np.flatnonzero(wide[row]):
            own = narrow[candidate]
            if (own & wide[row]).sum() > 2 / 3 * own.sum():
                members |= own
        strength = np.where(members, np.exp(-distances[row]), 0.0)
        weights[row] = strength / strength.sum()
    return weights


def _reciprocal(order: np.ndarray, k: int) -> np.ndarray:
    """(n, n) bool: each is among the other's first k + 1 ranks (a row is its own first)."""
    n = len(order)
    near = np.zeros((n, n), bool)
    near[np.arange(n)[:, None], order[:, : k + 1]] = True
    near |= np.eye(n, dtype=bool)
    return np.asarray(near & near.T)
