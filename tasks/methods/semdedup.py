"""Thin out cells: the row before each in its cell that is nearest to it, out of vectors cut by k-means.

A kNN graph shows at most its k neighbours of a row; where a picture was copied more often than that, its cell still holds all of them.
"""

import numpy as np

from tasks.methods.cells import Cells
from tasks.methods.vectors import unit

ROWS = 1024  # of a tile; bounds memory, changes no result


def cell_pairs(vectors: np.ndarray, cells: Cells, *, min_similarity: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (m, 2) int64 of rows of one cell with a cosine of at least `min_similarity`, and the cosine, (m,) float32.

    SemDeDup (Abbas et al. 2023): a cell's rows stand in the order of their distance to its centroid, the furthest first; each is paired
    with the nearest of those before it, so that what is furthest from the common kind stands first in its pairs. `vectors` (n, d) float16
    or float32 may be mapped: a cell at a time is read.
    """
    order, begins = cells.order
    pairs, similarities = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.float32)]
    for cell, centroid in enumerate(cells.centroids):
        rows = order[begins[cell] : begins[cell + 1]]
        if len(rows) < 2:
            continue
        members = unit(vectors[rows])
        furthest_first = np.argsort(members @ centroid, kind="stable")
        before, similarity = nearest_before(members[furthest_first])
        near = np.flatnonzero((before >= 0) & (similarity >= min_similarity))
        ranked = rows[furthest_first]
        pairs.append(np.stack([ranked[before[near]], ranked[near]], axis=1))
        similarities.append(similarity[near])
    return np.concatenate(pairs), np.concatenate(similarities)


def nearest_before(members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place (m,) int64 of the row before each that is nearest to it, the first of equals, and their cosine (m,) float32.

    -1 and -1.0 for the first row. `members` (m, d) are unit vectors.
    """
    places, similarities = np.full(len(members), -1), np.full(len(members), -1.0, np.float32)
    for start in range(0, len(members), ROWS):
        products = members[start : start + ROWS] @ members[: start + ROWS].T
        later = np.arange(products.shape[1])[None] >= np.arange(start, start + len(products))[:, None]
        products[later] = -np.inf
        best = products.argmax(axis=1)
        part = slice(max(start, 1), start + len(products))
        own = np.arange(len(products))[part.start - start :]
        places[part], similarities[part] = best[own], np.clip(products[own, best[own]], -1.0, 1.0)
    return places, similarities
