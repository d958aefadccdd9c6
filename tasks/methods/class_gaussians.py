"""Recover how each concept's features would lie without wrong labels and without rarity: one normal distribution per concept.

The distributional calibration of RCAL (Zhang et al. 2023, "When Noisy Labels Meet Long Tail Dilemmas"): local outliers of a concept are
left out, and a small concept borrows from the large ones near it. The paper's own constants are not followed: what it leaves to be chosen
is a parameter here, and a small concept never gives up more than half of itself.
"""

from dataclasses import dataclass

import numpy as np

N_NEIGHBORS = 20  # of the local outlier factor, the usual number; half of the rows where there are fewer, or all would seem far away
LEAST_DISTANCE = 1e-12  # mean distance of copies; keeps their density finite
BLOCK = 1024  # rows whose distances are computed at a time; bounds memory


@dataclass(frozen=True)
class Gaussians:
    """counts (k,) int64: rows that told each concept, 0 = its distribution is not known and all zeros; means (k, d), covariances
    (k, d, d) float64, positive definite where known."""

    counts: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


def recover(
    features: np.ndarray, classes: np.ndarray, n_classes: int, *, outlier_share: float, head_rows: int, n_heads: int, spread: float
) -> Gaussians:
    """Every concept's distribution out of features (n, d) and given classes (n,) int64.

    Of the steps: `outlier_share` of each concept's rows left out, those of the largest local outlier factors; covariances drawn to the
    pooled one, the more the fewer rows; concepts of fewer than `head_rows` rows blended with the `n_heads` nearest of more; `spread` mean
    variances added in every direction. Raises ValueError for features that are no numbers or all the same.
    """
    features = np.asarray(features, np.float64)
    if not np.isfinite(features).all():
        raise ValueError("features are no numbers: the network that they come from has diverged")
    d = features.shape[1]
    counts, means, covariances = np.zeros(n_classes, np.int64), np.zeros((n_classes, d)), np.zeros((n_classes, d, d))
    for concept in np.unique(classes):
        rows = features[classes == concept]
        kept = rows[inliers(rows, outlier_share)]
        counts[concept], means[concept] = len(kept), kept.mean(0)
        covariances[concept] = (kept - means[concept]).T @ (kept - means[concept]) / len(kept)
    pooled = np.tensordot(counts / counts.sum(), covariances, 1)
    variance = np.trace(pooled) / d
    if variance <= 0:
        raise ValueError("features of all rows of a concept are the same: start from a network that tells pictures apart")
    known = counts > 0
    own = (counts / (counts + 2.0 * d))[:, None, None]
    shrunk = own * covariances + (1 - own) * pooled
    means, shrunk = borrowed(means, shrunk, counts, head_rows=head_rows, n_heads=n_heads)
    return Gaussians(counts, means, np.where(known[:, None, None], shrunk + spread * variance * np.eye(d), 0.0))


def borrowed(
    means: np.ndarray, covariances: np.ndarray, counts: np.ndarray, *, head_rows: int, n_heads: int
) -> tuple[np.ndarray, np.ndarray]:
    """Means (k, d) and covariances (k, d, d) after every concept of 1 to head_rows - 1 rows took its part from larger ones.

    A concept of n rows keeps 1/2 + n / (2 head_rows) of its own; the rest comes from the `n_heads` concepts of at least `head_rows` rows
    whose means are nearest, in proportion to their rows.
    """
    heads = np.flatnonzero(counts >= head_rows)
    new_means, new_covariances = means.copy(), covariances.copy()
    if not len(heads) or not n_heads:
        return new_means, new_covariances
    for concept in np.flatnonzero((counts > 0) & (counts < head_rows)):
        distances = np.linalg.norm(means[heads] - means[concept], axis=1)
        near = heads[np.argsort(distances, kind="stable")[:n_heads]]
        own, shares = 0.5 + counts[concept] / (2 * head_rows), counts[near] / counts[near].sum()
        new_means[concept] = own * means[concept] + (1 - own) * shares @ means[near]
        new_covariances[concept] = own * covariances[concept] + (1 - own) * np.tensordot(shares, covariances[near], 1)
    return new_means, new_covariances


def inliers(rows: np.ndarray, outlier_share: float) -> np.ndarray:
    """(n,) bool: all of rows (n, d) but that share, rounded down, with the largest local outlier factors; ties go to the smaller place."""
    kept = np.ones(len(rows), bool)
    n_out = int(outlier_share * len(rows))
    if n_out and len(rows) > 2:
        kept[np.argsort(-outlier_factors(rows, min(N_NEIGHBORS, len(rows) // 2)), kind="stable")[:n_out]] = False
    return kept


def outlier_factors(rows: np.ndarray, n_neighbors: int) -> np.ndarray:
    """(n,) float64: how much thinner rows (n, d) float64 lie than their neighbours do, 1 = as thin (Breunig et al. 2000, LOF).

    n_neighbors is 1 to n - 1. Takes n^2 d steps.
    """
    n, k = len(rows), n_neighbors
    rows = rows - rows.mean(0)  # squares of what is far from 0 would swallow small distances
    near, distances = np.empty((n, k), np.int64), np.empty((n, k))
    squares = (rows**2).sum(1)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        found = np.maximum(squares[start:stop, None] + squares - 2 * rows[start:stop] @ rows.T, 0.0)
        found[np.arange(stop - start), np.arange(start, stop)] = np.inf
        near[start:stop] = np.argpartition(found, k - 1, 1)[:, :k]
        distances[start:stop] = np.sqrt(np.take_along_axis(found, near[start:stop], 1))
    reach = np.maximum(distances, distances.max(1)[near])
    density = 1.0 / np.maximum(reach.mean(1), LEAST_DISTANCE)
    factors: np.ndarray = density[near].mean(1) / density
    return factors


def lacking(counts: np.ndarray, virtual_share: float) -> np.ndarray:
    """(k,) float64, sums to 1: how to draw virtual rows so that, being `virtual_share` of all, they even out the concepts' counts (k,).

    In proportion to what a concept's own rows leave of an even share; concepts without rows get none.
    """
    known = counts > 0
    missing = np.where(known, np.maximum(1.0 / known.sum() - (1 - virtual_share) * counts / counts.sum(), 0.0), 0.0)
    found: np.ndarray = missing / missing.sum() if missing.sum() > 0 else known / known.sum()
    return found
