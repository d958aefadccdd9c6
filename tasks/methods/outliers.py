"""Score outliers: how far an image lies from the images that show the concepts.

All statistics come from rows trusted so far: one off-topic clump in the statistics stretches them in its own direction and hides itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tasks.methods.blocks import blocks


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
    likeness = np.zeros(len(neighbors))
    for part in blocks(len(neighbors), 8 * neighbors.shape[1], neighbors, similarities):
        there = np.maximum(neighbors[part], 0)
        counts = (neighbors[part] >= 0) & (groups[there] != groups[part, None])
        value = np.where(counts, np.maximum(similarities[part], 0.0) * trusted[there], 0.0)
        likeness[part] = value.sum(1) / np.maximum(counts.sum(1), 1)
    return likeness


def relative_mahalanobis(embeddings: np.ndarray, concept_weights: np.ndarray, weights: np.ndarray, *, shrinkage: float) -> np.ndarray:
    """(n,) float64, higher = more like a concept: the greatest of the concepts' log densities minus the background's.

    embeddings (n, d); concept_weights (n, n_concepts): how much each row shapes each concept (its posterior, 0 where not trusted);
    weights (n,): how much it shapes the background, fitted on the whole pool. Covariances are drawn towards a sphere by `shrinkage`.
    Ren et al. 2021, with means and covariance from trusted rows (the background may hold outliers, the concepts may not).
    """
    total, background, (n, d) = concept_weights.sum(0), weights.sum(), embeddings.shape
    used = total > 1e-6
    if not used.any() or background <= 0:
        return np.zeros(n)
    sums, scatter, whole = np.zeros((int(used.sum()), d)), np.zeros((d, d)), np.zeros(d)
    for _, x, shaping, weight in _wide_blocks(embeddings, concept_weights[:, used], weights):
        sums += shaping.T @ x
        scatter += (x * shaping.sum(1)[:, None]).T @ x
        whole += (x * weight[:, None]).sum(0)
    means, center = sums / total[used, None], whole / background
    within = _precision((scatter - (means * total[used, None]).T @ means) / total[used].sum(), shrinkage)
    around = np.zeros((d, d))
    for _, x, _, weight in _wide_blocks(embeddings, concept_weights, weights):
        around += ((x - center) * weight[:, None]).T @ (x - center)
    outside, likeness = _precision(around / background, shrinkage), np.zeros(n)
    for part, x, _, _ in _wide_blocks(embeddings, concept_weights, weights):
        nearest = np.min([_distance(x - mean, within) for mean in means], axis=0)
        likeness[part] = _distance(x - center, outside) - nearest
    return likeness


def _wide_blocks(
    embeddings: np.ndarray, concept_weights: np.ndarray, weights: np.ndarray
) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
    """Spans of the rows, with their embeddings as float64, and their weights."""
    for part in blocks(len(weights), 8 * embeddings.shape[1], embeddings):
        yield part, embeddings[part].astype(np.float64), concept_weights[part], weights[part]


def _precision(covariance: np.ndarray, shrinkage: float) -> np.ndarray:
    d = len(covariance)
    sphere = max(float(np.trace(covariance)) / d, 1e-12) * np.eye(d)
    return np.linalg.inv((1 - shrinkage) * covariance + shrinkage * sphere + 1e-9 * sphere)


def _distance(offsets: np.ndarray, precision: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("nd,nd->n", offsets @ precision, offsets))
