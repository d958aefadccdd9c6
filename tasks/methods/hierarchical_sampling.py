"""Sample evenly over what there is: clusters of clusters by k-means, and rows drawn from the top of them down.

Plain k-means follows density, so that frequent things take most centroids; k-means of its centroids comes nearer to an even cover.
Outliers make clusters of their own and are drawn too often: take them out first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tasks.methods.cells import assign, train_cells

ROWS_PER_CLUSTER = 20  # of the lowest level where there are few rows
CLUSTERS_PER_SQRT = 4.0  # times sqrt(n) clusters at most: the time of k-means grows with rows times clusters
BRANCHES = 5  # clusters that one of the next level holds, on average
N_LEVELS = 3
N_RESAMPLES = 10  # the paper's
POINTS_PER_CLUSTER = 64  # that k-means looks at, at most: more hardly move a centroid


def level_sizes(n: int) -> list[int]:
    """Clusters of each level for `n` rows, the lowest level first, none of fewer than 2 clusters."""
    sizes = [round(min(n / ROWS_PER_CLUSTER, CLUSTERS_PER_SQRT * math.sqrt(n)))]
    while len(sizes) < N_LEVELS:
        sizes.append(sizes[-1] // BRANCHES)
    return [size for size in sizes if size > 1]


def cluster_levels(vectors: np.ndarray, *, sizes: Sequence[int], seed: int, n_resamples: int = N_RESAMPLES) -> list[np.ndarray]:
    """The cluster of each row, (n,) int32, then the cluster of each of these clusters, (sizes[0],), and so on up: one array per level.

    Hierarchical k-means with resampling (Vo et al. 2024). The lowest level clusters `vectors` (n, d), float16 or
    float32, by their cosines; each further one the centroids below. Raises ValueError for more clusters than there are points under them.
    """
    levels: list[np.ndarray] = []
    points = vectors
    for size in sizes:
        if not 1 <= size <= len(points):
            raise ValueError(f"{len(points)} points can't make {size} clusters: sizes {list(sizes)} must be positive and not grow")
        points, labels = _resampled(points, size, n_resamples, seed)
        levels.append(labels)
    return levels


def split_target(sizes: np.ndarray, target: int, rng: np.random.Generator) -> np.ndarray:
    """How many of `target` rows each of k clusters gives, (k,) int64: as evenly as their `sizes` (k,) int allow.

    Vo et al. 2024, balanced sampling: each gives min(level, size), at the highest level that stays within the target; what is left
    goes, one each, to clusters above that level, drawn by `rng`. Raises ValueError for a target that isn't in 0..sum(sizes).
    """
    if not 0 <= target <= int(sizes.sum()):
        raise ValueError(f"{target} rows can't be drawn out of {int(sizes.sum())}")
    low, high = 0, int(sizes.max(initial=0))
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(sizes, middle).sum()) <= target:
            low = middle
        else:
            high = middle - 1
    counts: np.ndarray = np.minimum(sizes, low).astype(np.int64)
    left = target - int(counts.sum())
    if left:
        counts[rng.choice(np.flatnonzero(sizes > low), left, replace=False)] += 1
    return counts


def sampled_rows(levels: Sequence[np.ndarray], draws: np.ndarray, *, target: int, seed: int) -> np.ndarray:
    """`target` rows, (target,) int64, ascending: split evenly among the clusters of the top level, then among theirs, and so on down.

    Vo et al. 2024, balanced sampling. `levels` as of `cluster_levels`; a lowest cluster gives its rows of the smallest `draws` (n,), the
    first of equal ones. Without levels all rows are one cluster. Raises ValueError for a target that isn't in 0..n.
    """
    rng = np.random.default_rng(seed)
    parents = [*levels, np.zeros(int(levels[-1].max(initial=-1)) + 1 if levels else len(draws), np.int64)]  # a root above the top
    held = [np.ones(len(draws), np.int64)]
    for place, labels in enumerate(parents):
        n_above = len(parents[place + 1]) if place + 1 < len(parents) else 1
        held.append(np.bincount(labels, weights=held[-1], minlength=n_above).astype(np.int64))
    quota = split_target(held[-1], target, rng)
    for labels, sizes in zip(parents[:0:-1], held[-2:0:-1], strict=True):
        order, ends = np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels, minlength=len(quota)))
        below = np.zeros(len(sizes), np.int64)
        for children, wanted in zip(np.split(order, ends[:-1]), quota.tolist(), strict=True):
            below[children] = split_target(sizes[children], wanted, rng)
        quota = below
    order = np.lexsort((draws, parents[0]))
    sizes = np.bincount(parents[0], minlength=len(quota))
    place_within = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[place_within < np.repeat(quota, sizes)])


def _resampled(points: np.ndarray, n_clusters: int, n_resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Centroids (k, d) and labels (n,): k-means, then again on those points alone that lie nearest to each centroid.

    Half a mean cluster's size of them: what makes a cluster large no longer draws further centroids to it.
    """
    centroids = _centroids(points, n_clusters, seed)
    labels, similarities = assign(points, centroids, range(len(points)))
    n_near = max(1, min(round(len(points) / n_clusters / 2), POINTS_PER_CLUSTER))
    for again in range(1, n_resamples + 1):
        order = np.lexsort((-similarities, labels))
        sizes = np.bincount(labels, minlength=n_clusters)
        near = np.sort(order[np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes) < n_near])
        if len(near) < n_clusters:  # points that are equal leave clusters empty: there is nothing to even out
            break
        centroids = _centroids(points[near], n_clusters, seed + again)
        labels, similarities = assign(points, centroids, range(len(points)))
    return centroids, labels


def _centroids(points: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    cells_per_sqrt = n_clusters / math.sqrt(len(points))
    return train_cells(points, cells_per_sqrt=cells_per_sqrt, points_per_cell=POINTS_PER_CLUSTER, seed=seed).centroids
