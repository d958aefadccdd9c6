"""Link cells: the approximate kNN graph of many vectors, cell by cell, in a file; rows that come later are worked into it.

Candidates of a row are the rows of the cells nearest to its own. One matrix product serves a whole cell, so that this takes a fraction
of the time in which an inverted list index answers row by row. A neighbour is kept as one number: its cosine in the upper 32 bits,
reversed, and its position in the lower, so that the smallest number is the best neighbour, ties by position.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tasks.methods.cells import Cells, near_cells
from tasks.methods.knn import SPARE
from tasks.methods.vectors import QUERIES, release, shape_of, unit

NOTHING, POSITION = np.uint64(2**64 - 1), np.uint64(2**32 - 1)
CANDIDATES = 16_384  # of a tile; with the next, bounds memory: 32 MB of cosines
ROWS = 512  # that are compared with a tile
PAIRS = 1 << 20  # whose cosines are summed one by one at a time; bounds memory
ROUNDING = 1e-5  # more than a float32 product of unit vectors is off
WRITTEN = 200  # cells after which mapped pages are let go
T = TypeVar("T")


def pack(similarities: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """One uint64 for each cosine, clipped to [-1, 1], and position (below 2**32)."""
    bits = np.clip(similarities, -1.0, 1.0).astype(np.float32, order="C").view(np.uint32)
    ascending = np.where(bits >> np.uint32(31), ~bits, bits | np.uint32(1 << 31))
    packed: np.ndarray = (~ascending).astype(np.uint64) << np.uint64(32) | positions.astype(np.uint64)
    return packed


def unpack(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions int64 and cosines float32 of packed neighbours."""
    ascending = ~(packed >> np.uint64(32)).astype(np.uint32)
    bits = np.where(ascending >> np.uint32(31), ascending & np.uint32(2**31 - 1), ~ascending)
    return (packed & POSITION).astype(np.int64), bits.view(np.float32)


def build_cell_graph(
    vectors: np.ndarray, cells: Cells, path: Path, *, n_neighbors: int, n_probes: int, threads: int = 1, gpu: bool = False
) -> np.ndarray:
    """Write the graph (n, k) uint64, packed, row by row into a raw file at `path`, and map it.

    k = min(n_neighbors, n - 1); candidates come from the `n_probes` cells nearest to a row's own, that one included; rows for which
    these are too few are searched exactly. `threads` work on a cell each. Beside the file, the vectors are laid
    out by cell in another one while this runs.
    """
    n, _ = shape_of(vectors)
    k = max(0, min(n_neighbors, n - 1))
    if k == 0:
        return np.zeros((n, 0), np.uint64)
    graph = np.memmap(path, mode="w+", dtype=np.uint64, shape=(n, k))
    order, begins = cells.order
    near = near_cells(cells.centroids, n_probes)
    scratch = path.with_name(f"{path.name}.cells")
    try:
        sorted_vectors = lay_out(vectors, order, cells.labels, scratch)

        def link(cell: int) -> None:
            rows = order[begins[cell] : begins[cell + 1]]
            if len(rows):
                graph[rows] = cell_neighbors(vectors, sorted_vectors, order, begins, cell, near[cell], k, gpu)
            if cell % WRITTEN == 0:
                release(sorted_vectors)
                release(graph)

        for _ in side_by_side(link, range(len(near)), 1 if gpu else threads):
            pass
    finally:
        scratch.unlink(missing_ok=True)
    graph.flush()
    return graph


def side_by_side(work: Callable[[int], T], cells: Iterable[int], threads: int) -> Iterator[T]:
    """What `work` returns for each cell, in order, on `threads` that each compute alone: where other processes want the cores too,
    threads that share one small product wait for each other most of the time."""
    import faiss
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads, initializer=faiss.omp_set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(work, cells)


def lay_out(vectors: np.ndarray, order: np.ndarray, labels: np.ndarray, path: Path) -> np.ndarray:
    """Write `vectors` in `order` to a raw file, reading them once in their own order, and map it."""
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    laid = np.memmap(path, dtype=np.float16, mode="w+", shape=vectors.shape)
    for start in range(0, len(vectors), 8 * QUERIES):
        block = np.asarray(vectors[start : start + 8 * QUERIES]).astype(np.float16, copy=False)
        by_cell = np.argsort(labels[start : start + len(block)], kind="stable")
        laid[places[start : start + len(block)][by_cell]] = block[by_cell]
        release(vectors)
        release(laid)
    return laid


def cell_neighbors(
    vectors: np.ndarray, laid: np.ndarray, order: np.ndarray, begins: np.ndarray, cell: int, near: np.ndarray, k: int, gpu: bool
) -> np.ndarray:
    """The `k` best neighbours (m, k), packed, of every row of a cell among those of the cells `near` it.

    `laid` are the vectors in the `order` that lists each cell's rows from its place in `begins` on; `vectors`, in their own, serve an
    exact search where the near cells have too few rows.
    """
    own = slice(begins[cell], begins[cell + 1])
    rows = order[own]
    spans = [slice(begins[other], begins[other + 1]) for other in near]
    positions = np.concatenate([order[span] for span in spans])
    if len(positions) <= k:
        return exact_neighbors(vectors, rows, k)
    return best_of_tiles(unit(laid[own]), rows, np.concatenate([laid[span] for span in spans]), positions, k, gpu)


def exact_neighbors(vectors: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """The `k` best neighbours (m, k), packed, of `rows` (m,) among all rows."""
    return best_of_tiles(unit(vectors[rows]), rows, vectors, np.arange(len(vectors)), k, False)


def best_of_tiles(queries: np.ndarray, rows: np.ndarray, candidates: np.ndarray, positions: np.ndarray, k: int, gpu: bool) -> np.ndarray:
    """The best `k` of the `candidates` (c, d), which are the rows at `positions` (c,), for each of the `rows` (m,), packed (m, k)."""
    best = np.full((len(rows), k), NOTHING)
    for left in range(0, len(positions), CANDIDATES):
        tile, names = unit(candidates[left : left + CANDIDATES]), positions[left : left + CANDIDATES]
        release(candidates)
        for start in range(0, len(rows), ROWS):
            part = slice(start, start + ROWS)
            best[part] = merged(best[part], tile_neighbors(queries[part], rows[part], tile, names, k, gpu), k)
    return best


def tile_neighbors(queries: np.ndarray, rows: np.ndarray, tile: np.ndarray, names: np.ndarray, k: int, gpu: bool) -> np.ndarray:
    """The best `k` of a tile (c, d) of rows `names` (c,) for each of the `rows` (m,), packed (m, k); fewer are filled up with NOTHING.

    `queries` (m, d) and the tile are unit vectors.
    """
    if not gpu:
        return best_of_products(queries @ tile.T, queries, rows, tile, names, k)
    import faiss

    wanted = min(k + 1 + SPARE, len(tile))
    found = faiss.knn_gpu(gpu_resources(), queries, tile, wanted, metric=faiss.METRIC_INNER_PRODUCT)[1]
    return _best_of_places(np.ascontiguousarray(found, np.int64), queries, rows, tile, names, k)


@cache
def gpu_resources() -> Any:
    """What FAISS holds on the GPU to work with, one for the process: made for each tile, its memory would be allocated each time."""
    import faiss

    return faiss.StandardGpuResources()


def best_of_products(
    products: np.ndarray, queries: np.ndarray, rows: np.ndarray, tile: np.ndarray, names: np.ndarray, k: int
) -> np.ndarray:
    """`tile_neighbors` where the matrix product (m, c) is there already: it proposes, the cosines that stay are summed pair by pair."""
    wanted = min(k + 1 + SPARE, len(tile))
    if wanted == len(tile):
        places = np.broadcast_to(np.arange(wanted), products.shape).copy()
    else:
        places = np.ascontiguousarray(np.argpartition(products, len(tile) - wanted, axis=1)[:, -wanted:])
    return _best_of_places(places, queries, rows, tile, names, k)


def _best_of_places(places: np.ndarray, queries: np.ndarray, rows: np.ndarray, tile: np.ndarray, names: np.ndarray, k: int) -> np.ndarray:
    """The best `k` of those `places` (m, w), packed; their cosines are summed in one order, whatever the product's was.

    `places` have the w largest products. What was left out is nearer than the last of them by two roundings at most: where the k-th best
    does not lie further above it, as among many copies, the whole tile is looked at, so that ties end by position.
    """
    packed = pack(pair_products(queries, tile, places), names[places])
    packed[names[places] == rows[:, None]] = NOTHING
    packed.sort(axis=1)
    if packed.shape[1] < k:
        packed = np.hstack([packed, np.full((len(rows), k - packed.shape[1]), NOTHING)])
    best = packed[:, :k]
    if places.shape[1] < len(tile):
        kth, late = unpack(packed[:, [k - 1, -2]])[1].T  # behind the last but one may stand the row itself
        doubtful = np.flatnonzero(kth - late <= 2 * ROUNDING)
        if len(doubtful):
            best[doubtful] = _best_of_all(queries[doubtful], rows[doubtful], tile, names, k)
    return best


def _best_of_all(queries: np.ndarray, rows: np.ndarray, tile: np.ndarray, names: np.ndarray, k: int) -> np.ndarray:
    """`_best_of_places` with every place of a tile of more than `k` rows, ties by position; copies among `queries` are compared once."""
    whole = queries.view(np.dtype((np.void, queries.shape[1] * queries.itemsize)))[:, 0]
    _, firsts, copies = np.unique(whole, return_index=True, return_inverse=True)
    best, step = np.empty((len(firsts), k + 1), np.uint64), max(1, PAIRS // len(tile))  # one more, for the row itself
    for start in range(0, len(firsts), step):
        some = queries[firsts[start : start + step]]
        places = np.tile(np.arange(len(tile)), (len(some), 1))
        packed = pack(pair_products(some, tile, places), names[places])
        packed.partition(k, axis=1)
        best[start : start + step] = packed[:, : k + 1]
    found: np.ndarray = best[copies]
    found[found & POSITION == rows[:, None].astype(np.uint64)] = NOTHING
    found.sort(axis=1)
    return found[:, :k]


def pair_products(queries: np.ndarray, tile: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Inner products (m, c) float32 of each of `queries` (m, d) with the rows of the tile at its `places` (m, c) int64."""
    import faiss

    by_place: Any = vars(faiss)["fvec_inner_products_by_idx"]  # its type hints leave it out
    products = np.zeros(places.shape, np.float32)
    out, left, right, ids = (faiss.swig_ptr(array) for array in (products, queries, tile, places))
    by_place(out, left, right, ids, queries.shape[1], *places.shape)
    return products


def merged(best: np.ndarray, more: np.ndarray, k: int) -> np.ndarray:
    """The `k` smallest of each row of two packed arrays."""
    both = np.hstack([best, more])
    both.sort(axis=1)
    return both[:, :k]
