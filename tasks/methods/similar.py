"""Find similar images: positions and exact similarities of the rows nearest to one vector, out of an index and mapped vectors.

Only the rows that FAISS proposes are read, so that a million vectors on the disk need no memory.
"""

import numpy as np

from tasks.methods.search import search


def nearest(index: object, vectors: np.ndarray, query: np.ndarray, *, k: int, n_probes: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (m,) int64 and cosine similarities (m,) float64 of the `k` rows nearest to `query` (d,), nearest first, ties by position.

    m <= k; `vectors` (n, d) float16 may be a memmap. The query's own row, if it is one, is among the rows. Raises ValueError for a query
    of another width.
    """
    found, _ = search(index, query[None].astype(np.float32), k=k, n_probes=n_probes)
    positions = found[0][found[0] >= 0]
    similarities = cosines(np.asarray(vectors[positions]), query)
    order = np.lexsort((positions, -similarities))
    return positions[order], similarities[order]


def cosines(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Cosine similarity (n,) float64 of each row of `vectors` (n, d) with `query` (d,); 0 for rows of zeros."""
    rows, wanted = vectors.astype(np.float64), query.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(wanted)
    similarities: np.ndarray = np.clip(rows @ wanted / np.maximum(lengths, 1e-12), -1.0, 1.0)
    return similarities
