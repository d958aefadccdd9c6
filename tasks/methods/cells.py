"""Cut vectors into cells: k-means centroids and the cell of every row, grown crawl by crawl.

What the cells are depends on the vectors and on where crawls end, not on how many runs it took: a run that appends a crawl comes to the
same cells as one that starts anew.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.methods.vectors import release, shape_of, unit

TILE = 16_384  # rows that are looked at together; bounds memory
ITERATIONS = 10  # of k-means: FAISS' own number for inverted lists


@dataclass(frozen=True)
class Cells:
    """`centroids` (c, d) float32, the cell (n,) int32 of each row, and what they were trained on.

    `trained`: the rows there were then; `closeness`: these rows' mean cosine to their centroid.
    """

    centroids: np.ndarray
    labels: np.ndarray
    trained: int
    closeness: float

    @property
    def order(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n,) sorted by cell, and where (c + 1,) each cell begins among them."""
        sizes = np.bincount(self.labels, minlength=len(self.centroids))
        return np.argsort(self.labels, kind="stable"), np.concatenate([[0], np.cumsum(sizes)])


def train_cells(
    vectors: np.ndarray, *, cells_per_sqrt: float, points_per_cell: int, seed: int, n_rows: int | None = None, gpu: bool = False
) -> Cells:
    """Cells of the first `n_rows` rows (all, without it): `cells_per_sqrt` * sqrt(n) centroids of spherical k-means.

    Trained on `points_per_cell` rows a cell, drawn by `seed`; `vectors` (n, d) float16 or float32, array or memmap.
    """
    import faiss

    n, d = shape_of(vectors)
    n = n if n_rows is None else n_rows
    n_cells = max(1, min(round(cells_per_sqrt * math.sqrt(n)), n))
    sample = np.sort(np.random.default_rng(seed).choice(n, size=min(n, n_cells * points_per_cell), replace=False))
    points = unit(vectors[sample])
    release(vectors)
    means = faiss.Kmeans(
        d, n_cells, niter=ITERATIONS, spherical=True, seed=seed, gpu=gpu,
        max_points_per_centroid=points_per_cell, min_points_per_centroid=1,
    )  # fmt: skip
    means.train(points)
    centroids = np.ascontiguousarray(means.centroids, np.float32).reshape(n_cells, d)
    labels, similarities = assign(vectors, centroids, range(n), gpu=gpu)
    return Cells(centroids, labels, n, float(similarities.mean(dtype=np.float64)))


def assign(vectors: np.ndarray, centroids: np.ndarray, rows: range, *, gpu: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of `centroids` (c, d) to each of `rows`, (m,) int32, and the cosine to it, (m,) float32."""
    import faiss

    index = on_gpus(faiss.IndexFlatIP(centroids.shape[1]), gpu)
    index.add(centroids)
    labels, similarities = np.zeros(len(rows), np.int32), np.zeros(len(rows), np.float32)
    for start in range(rows.start, rows.stop, TILE):
        stop = min(start + TILE, rows.stop)
        score, found = index.search(unit(vectors[start:stop]), 1)
        part = slice(start - rows.start, stop - rows.start)
        labels[part], similarities[part] = found[:, 0], score[:, 0]
        release(vectors)
    return labels, similarities


def grow_cells(
    vectors: np.ndarray,
    ends: Sequence[int],
    *,
    cells_per_sqrt: float,
    points_per_cell: int,
    max_growth: float,
    max_drift: float,
    seed: int,
    previous: Cells | None = None,
    gpu: bool = False,
) -> Cells:
    """Cells of all rows, crawl by crawl: `ends` are the row counts after each crawl, ascending, the last one n.

    The first crawl's rows train them. A further crawl is put into the cells there are, unless it makes more than `max_growth` times the
    rows that trained them, or lies so far from the centroids that the angle's cosine falls short of 1 by `max_drift` times more than
    that of the trained rows, on average: then all rows so far train them anew. `previous`: the cells of some of these `ends`, to go on
    from. Raises ValueError for `previous` of another number of rows.
    """
    training: dict[str, Any] = {"cells_per_sqrt": cells_per_sqrt, "points_per_cell": points_per_cell, "seed": seed, "gpu": gpu}
    if previous is not None and len(previous.labels) not in ends:
        raise ValueError(f"cells of {len(previous.labels)} rows are none of a crawl's end {list(ends)}: cut all rows anew")
    cells = previous or train_cells(vectors, n_rows=ends[0], **training)
    for end in ends:
        begin = len(cells.labels)
        if end <= begin:
            continue
        labels, similarities = assign(vectors, cells.centroids, range(begin, end), gpu=gpu)
        drift = (1 - float(similarities.mean(dtype=np.float64))) / max(1 - cells.closeness, 1e-6)
        if end > max_growth * cells.trained or drift > max_drift:
            cells = train_cells(vectors, n_rows=end, **training)
        else:
            cells = Cells(cells.centroids, np.concatenate([cells.labels, labels]), cells.trained, cells.closeness)
    return cells


def write_cells(cells: Cells, path: Path, recipe: str) -> None:
    """Write cells, and what they were made by, as an npz file."""
    numbers = np.array([cells.trained, cells.closeness])
    np.savez(path, centroids=cells.centroids, labels=cells.labels, numbers=numbers, recipe=np.array(recipe))


def read_cells(path: Path, recipe: str) -> Cells | None:
    """The cells in a file; None if there is none, or if they were made by another recipe."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as held:
        if str(held["recipe"]) != recipe:
            return None
        trained, closeness = held["numbers"].tolist()
        return Cells(held["centroids"], held["labels"], int(trained), closeness)


def near_cells(centroids: np.ndarray, n_probes: int) -> np.ndarray:
    """The `n_probes` cells (c, p) int32 nearest to each cell by the cosine of their centroids, itself first."""
    import faiss

    n_cells, d = centroids.shape
    index = faiss.IndexFlatIP(d)
    index.add(centroids)
    found = index.search(centroids, min(n_probes, n_cells))[1].astype(np.int32)
    own = np.arange(n_cells, dtype=np.int32)[:, None]
    others = np.argsort(found == own, axis=1, kind="stable")[:, : found.shape[1] - 1]  # an equal centroid may stand before itself
    return np.hstack([own, np.take_along_axis(found, others, axis=1)])


def count_gpus() -> int:
    """CUDA devices that this build of FAISS can use; 0 for faiss-cpu."""
    import faiss

    return int(faiss.get_num_gpus()) if hasattr(faiss, "get_num_gpus") else 0


def on_gpus(index: Any, gpu: bool) -> Any:
    """The index on all GPUs if `gpu`; else as it is."""
    if not gpu:
        return index
    import faiss

    return faiss.index_cpu_to_all_gpus(index)
