"""Score outliers: how far an image lies from the images that show the concepts.

All statistics come from rows trusted so far: one off-topic clump in the statistics stretches them in its own direction and hides itself.
"""

from __future__ import annotations

import numpy as np


def ranks(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(n,) float32 in [0, 1]: share of the reference rows with a smaller value, ties by half."""
    ordered = np.sort(values[reference])
    if not len(ordered):
        return np.full(len(values), 0.5, np.float32)
    below, up_to = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return ((below + up_to) / 2 / len(ordered)).astype(np.float32)


def neighbor_similarity(neighbors: np.ndarray, similarities: np.ndarray, trusted: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n,) float64, higher = more like the trusted rows: the neighbours' similarities, each times its trust; own copies left out.

    neighbors (n, n_neighbors) int64, -1 = none; trusted (n,) float in [0, 1]. Sun et al. 2022, on the mean instead of the k-th neighbour,
    and by trust because the bank holds the very outliers that are looked for.
    """
    if not neighbors.shape[1]:
        return np.zeros(len(neighbors))
    there = np.maximum(neighbors, 0)
    counts = (neighbors >= 0) & (groups[there] != groups[:, None])
    value = np.where(counts, np.maximum(similarities, 0.0) * trusted[there], 0.0)
    return np.asarray(value.sum(1) / np.maximum(counts.sum(1), 1))


def relative_mahalanobis(embeddings: np.ndarray, concept_weights: np.ndarray, weights: np.ndarray, *, shrinkage: float) -> np.ndarray:
    """(n,) float64, higher = more like a concept: the greatest of the concepts' log densities minus the background's.

    embeddings (n, d); concept_weights (n, n_concepts): how much each row shapes each concept (its posterior, 0 where not trusted);
    weights (n,): how much it shapes the background, fitted on the whole pool. Covariances are drawn towards a sphere by `shrinkage`.
    Ren et al. 2021, with means and covariance from trusted rows (the background may hold outliers, the concepts may not).
    """
    x = embeddings.astype(np.float64)
    total = concept_weights.sum(0)
    used = total > 1e-6
    if not used.any() or weights.sum() <= 0:
        return np.zeros(len(x))
    means = (concept_weights[:, used].T @ x) / total[used, None]
    seen = concept_weights[:, used].sum(1)
    scatter = (x * seen[:, None]).T @ x - (means * total[used, None]).T @ means
    within = _precision(scatter / seen.sum(), shrinkage)
    center = np.average(x, axis=0, weights=weights)
    around = _precision(((x - center) * weights[:, None]).T @ (x - center) / weights.sum(), shrinkage)
    nearest = np.min([_distance(x - mean, within) for mean in means], axis=0)
    return np.asarray(_distance(x - center, around) - nearest)


def _precision(covariance: np.ndarray, shrinkage: float) -> np.ndarray:
    d = len(covariance)
    sphere = max(float(np.trace(covariance)) / d, 1e-12) * np.eye(d)
    return np.linalg.inv((1 - shrinkage) * covariance + shrinkage * sphere + 1e-9 * sphere)


def _distance(offsets: np.ndarray, precision: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("nd,nd->n", offsets @ precision, offsets))
