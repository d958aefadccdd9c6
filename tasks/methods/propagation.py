"""Propagate concepts: given concepts spread over the kNN graph, step by step, so that neighbours' neighbours speak too."""

from __future__ import annotations

from typing import Any

import numpy as np


def propagated(
    neighbors: np.ndarray,
    similarities: np.ndarray,
    given: np.ndarray,
    groups: np.ndarray,
    weights: np.ndarray,
    *,
    n_concepts: int,
    alpha: float,
    n_steps: int,
) -> np.ndarray:
    """(n, n_concepts) float32, rows sum to 1: Y after `n_steps` of Y <- alpha Y + (1 - alpha) A Y, from the given concepts.

    The first part of ERASE (Chen et al. 2024), label propagation. neighbors (n, k) int64 row numbers, -1 = none; similarities (n, k)
    cosine; given (n,) int, -1 = none; groups (n,) int, copies share one; weights (n,) >= 0, 0 = has no vote. A's rows sum to 1: each
    neighbour counts by similarity times weight, copies of a row not at all, or a wrong concept would vouch for itself. Rows without a
    voting neighbour keep what they have, rows that nothing reaches are uniform. Raises ValueError unless alpha is in [0, 1] and
    n_steps >= 0.
    """
    if not 0 <= alpha <= 1 or n_steps < 0:
        raise ValueError(f"alpha {alpha} must be in [0, 1] and n_steps {n_steps} at least 0")
    adjacency, alone = _votes(neighbors, similarities, groups, weights)
    shares = np.zeros((len(given), n_concepts))
    named = np.flatnonzero(given >= 0)
    shares[named, given[named]] = 1.0
    for _ in range(n_steps):
        heard = np.where(alone[:, None], shares, adjacency @ shares)
        shares = alpha * shares + (1 - alpha) * heard
    total = shares.sum(1, keepdims=True)
    return np.where(total > 0, shares / np.where(total > 0, total, 1.0), 1 / n_concepts).astype(np.float32)


def _votes(neighbors: np.ndarray, similarities: np.ndarray, groups: np.ndarray, weights: np.ndarray) -> tuple[Any, np.ndarray]:
    """A (n, n) as a sparse array whose rows sum to 1 or are empty, and which (n,) are empty."""
    from scipy.sparse import csr_array

    n, n_neighbors = neighbors.shape
    there = np.maximum(neighbors, 0)
    counts = (neighbors >= 0) & (groups[there] != groups[:, None])
    strength = np.where(counts, np.maximum(similarities, 0.0) * weights[there], 0.0).astype(np.float64)
    total = strength.sum(1)
    strength /= np.where(total > 0, total, 1.0)[:, None]
    starts = np.arange(n + 1) * n_neighbors
    return csr_array((strength.reshape(-1), there.reshape(-1), starts), shape=(n, n)), total <= 0
