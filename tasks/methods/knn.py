"""Find neighbours: the exact kNN graph of vectors, tile after tile, and how much of it another graph holds.

FAISS proposes candidates in float32; order and similarities are computed again from the float16 vectors.
"""

from collections.abc import Iterator

import numpy as np

from tasks.methods.vectors import QUERIES, best_first, lengths, release, rescored, shape_of, unit

TILE = 131_072
SPARE = 8  # candidates beyond those asked for, so that float32 rounding at the last place can't lose a neighbour


def knn_graph(vectors: np.ndarray, *, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours (n, k) int64 and cosine similarities (n, k) float32 of every row, nearest first, ties by position.

    k = min(n_neighbors, n - 1): every row has all its k neighbours, there is no padding. A row is never its own neighbour (told by its
    position: copies can stand before it). Vectors need not have length 1; float32 is rounded to float16 first.
    """
    n, _ = shape_of(vectors)
    k = max(0, min(n_neighbors, n - 1))
    neighbors, similarities = np.zeros((n, k), np.int64), np.zeros((n, k), np.float32)
    for start, found, scores in knn_blocks(vectors, n_neighbors=n_neighbors):
        neighbors[start : start + len(found)], similarities[start : start + len(found)] = found, scores
    return neighbors, similarities


def knn_blocks(vectors: np.ndarray, *, n_neighbors: int, rows: range | None = None) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """`knn_graph` block by block (first row, neighbours, similarities), of all rows or of the range `rows`; memory doesn't grow with n."""
    n, _ = shape_of(vectors)
    k = max(0, min(n_neighbors, n - 1))
    norms = lengths(vectors)
    rows = range(n) if rows is None else rows
    for start in range(rows.start, rows.stop, QUERIES):
        wanted = np.arange(start, min(start + QUERIES, rows.stop))
        if k == 0:
            yield start, np.zeros((len(wanted), 0), np.int64), np.zeros((len(wanted), 0), np.float32)
            continue
        found, scores = rescored(vectors, norms, wanted, scan(vectors, wanted, min(k + 1 + SPARE, n)), k)
        yield start, found, scores.astype(np.float32)


def sampled_rows(n: int, n_samples: int, seed: int) -> np.ndarray:
    """Rows (m,) int64 of `n`, ascending, drawn by `seed`: those that recall is measured on."""
    return np.sort(np.random.default_rng(seed).choice(n, size=min(n, n_samples), replace=False))


def graph_recall(vectors: np.ndarray, rows: np.ndarray, neighbors: np.ndarray) -> float:
    """Share of the true neighbours (exact search) of `rows` (m,) that `neighbors` (m, k) holds; 1 is best.

    A neighbour as near as the k-th true one counts, for copies are interchangeable. Negative neighbours are none.
    """
    k = neighbors.shape[1]
    if k == 0 or not len(rows):
        return 1.0
    norms = lengths(vectors)
    _, truth = rescored(vectors, norms, rows, scan(vectors, rows, min(k + 1 + SPARE, len(vectors))), k)
    _, held = rescored(vectors, norms, rows, neighbors.astype(np.int64), k)
    return float((held >= truth[:, -1:] - 1e-9).mean())


def scan(vectors: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """Positions (m, k) int64 of the rows nearest to each of `rows` (m,) by exact search, tile after tile; a row itself is among them."""
    import faiss

    queries = unit(vectors[rows])
    best, positions = np.zeros((len(rows), 0), np.float32), np.zeros((len(rows), 0), np.int64)
    for start in range(0, len(vectors), TILE):
        tile = unit(vectors[start : start + TILE])
        release(vectors)
        scores, found = faiss.knn(queries, tile, min(k, len(tile)), metric=faiss.METRIC_INNER_PRODUCT)
        best, positions = np.hstack([best, scores]), np.hstack([positions, found.astype(np.int64) + start])
        positions, best = best_first(positions, best, k)
    return positions
