"""Search: the rows nearest to a query by cosine similarity, out of a FAISS index over embeddings, which grows by further rows.

Beside this module only index_files, cells, knn and cell_graph call FAISS.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from tasks.methods.cells import Cells, train_cells
from tasks.methods.vectors import QUERIES, best_first, release, shape_of, unit

IndexKind = Literal["exact", "hnsw", "ivf", "ivf_pq"]
TILE = 16_384
SPARE = 8  # candidates beyond those asked for, so that float32 rounding at the last place can't lose a neighbour
LINKS = 32  # of HNSW
PQ_BITS = 8


def choose_index(n: int, d: int, *, max_exact: int, max_hnsw: int, memory_gb: float) -> IndexKind:
    """The kind of index for `n` vectors of `d` numbers: the first of these that fits in half of `memory_gb` (`index_bytes`).

    "exact" up to `max_exact` rows (the cost of the graph grows with n squared), "hnsw" up to `max_hnsw` (quickest to search, slowest to
    build), "ivf" (inverted lists of float16 vectors), "ivf_pq" (product-quantised). Raises ValueError if none fits.
    """
    most: dict[IndexKind, float] = {"exact": max_exact, "hnsw": max_hnsw, "ivf": float("inf"), "ivf_pq": float("inf")}
    for kind in get_args(IndexKind):
        if n <= most[kind] and index_bytes(kind, n, d) <= memory_gb * 2**30 / 2:
            return kind  # type: ignore[no-any-return]
    least = index_bytes("ivf_pq", n, d) / 2**30
    raise ValueError(
        f"{n} vectors of {d} numbers need {least:.3g} GB even product-quantised, over half of memory_gb {memory_gb:g}: raise it"
    )


def index_bytes(kind: IndexKind, n: int, d: int) -> int:
    """What an index of `n` vectors of `d` numbers holds in memory: codes, positions, links."""
    per_row = {"exact": 4 * d, "hnsw": 2 * d + 4 * (2 * LINKS + 1) + 8, "ivf": 2 * d + 8, "ivf_pq": d // 4 + 8}
    return n * per_row[kind]


def build_index(
    vectors: np.ndarray, *, kind: IndexKind = "exact", cells: Cells | None = None, effort: int = 64,
    lists_per_sqrt: float = 4.0, points_per_list: int = 64, seed: int = 0, ends: Sequence[int] = (),
) -> Any:  # fmt: skip
    """A FAISS index (inner product) over the normalised rows of `vectors` (n, d) float16 or float32, array or memmap.

    "ivf" keeps float16 vectors, "ivf_pq" codes of d/4 bytes, in one inverted list a cell; without `cells`, `lists_per_sqrt` * sqrt(n) of
    them are trained on `points_per_list` rows each, drawn by `seed`. "hnsw" keeps float16 vectors and links (Malkov and Yashunin 2018);
    `effort` candidates are looked at when it is built and searched. Rows come in parts that end at
    `ends`, as later ones do. Raises ValueError for an unknown kind or a width that PQ can't divide.
    """
    faiss = _faiss()

    d = shape_of(vectors)[1]
    if kind not in get_args(IndexKind):
        raise ValueError(f"index kind {kind!r} is unknown: use one of {', '.join(get_args(IndexKind))}")
    if kind == "ivf_pq" and d % 4:
        raise ValueError(f"index kind 'ivf_pq' needs a width that 4 divides, not {d}: use 'ivf' or another encoder")
    if kind == "exact":
        index: Any = faiss.IndexFlatIP(d)
    elif kind == "hnsw":
        index = faiss.IndexHNSWSQ(d, faiss.ScalarQuantizer.QT_fp16, LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = index.hnsw.efSearch = effort
        index.train(unit(vectors[:1]))
    else:
        if cells is None:
            cells = train_cells(vectors, cells_per_sqrt=lists_per_sqrt, points_per_cell=points_per_list, seed=seed)
        index = _inverted_lists(vectors, kind, cells, points_per_list, seed)
    append_rows(index, vectors, cells=cells, ends=ends)
    return index


def _inverted_lists(vectors: np.ndarray, kind: IndexKind, cells: Cells, points_per_list: int, seed: int) -> Any:
    """An empty index with a list for each cell; product quantisation learns from rows that the cells were trained on."""
    faiss = _faiss()

    n_cells, d = cells.centroids.shape
    nearest = faiss.IndexFlatIP(d)
    nearest.add(cells.centroids)
    if kind == "ivf":
        kinds = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
        index: Any = faiss.IndexIVFScalarQuantizer(nearest, d, n_cells, *kinds)
        sample = np.arange(1)
    else:
        index = faiss.IndexIVFPQ(nearest, d, n_cells, d // 4, PQ_BITS, faiss.METRIC_INNER_PRODUCT)
        index.pq.cp.seed, index.pq.cp.min_points_per_centroid = seed, 1
        size = min(cells.trained, 2**PQ_BITS * points_per_list)
        sample = np.sort(np.random.default_rng(seed).choice(cells.trained, size=size, replace=False))
    index.own_fields = True
    nearest.this.disown()
    index.train(unit(vectors[sample]))
    return index


def append_rows(index: Any, vectors: np.ndarray, *, cells: Cells | None = None, ends: Sequence[int] = ()) -> None:
    """Add those of `vectors` (n, d) that an index doesn't hold yet: rows from its size on, in parts that end at `ends` and n.

    `cells` of all rows, for inverted lists. Links depend on the parts, so that equal `ends` give the same index however often it grew.
    """
    faiss = _faiss()

    links = _links(index)
    threads = faiss.omp_get_max_threads()
    if links is not None:
        faiss.omp_set_num_threads(1)  # links depend on the order in which rows come
        for _ in range(index.ntotal if links.levels.size() == index.ntotal else 0):
            links.random_level()  # a file doesn't keep the generator's state
    try:
        edges = [index.ntotal, *(end for end in ends if index.ntotal < end < len(vectors)), len(vectors)]
        for start, stop in [(start, min(start + TILE, end)) for begin, end in pairwise(edges) for start in range(begin, end, TILE)]:
            rows = unit(vectors[start:stop])
            release(vectors)
            if _is_ivf(index) and cells is not None:
                ids = np.arange(start, start + len(rows), dtype=np.int64)
                labels = cells.labels[start : start + len(rows)].astype(np.int64)
                index.add_core(len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(ids), faiss.swig_ptr(labels))
            else:
                index.add(rows)
    finally:
        faiss.omp_set_num_threads(threads)


def search(index: Any, queries: np.ndarray, *, k: int, n_probes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Positions (m, k) int64 and cosine similarities (m, k) float32 of the `k` nearest rows, nearest first; ties by position.

    Where an approximate index finds fewer, positions end in -1 with similarity -1. `n_probes` inverted lists are looked at.
    """
    faiss = _faiss()

    n, d = shape_of(queries)
    if d != index.d:
        raise ValueError(f"queries of width {d} for an index of width {index.d}: use the encoder that the index was built with")
    k = min(k, index.ntotal)
    if n == 0 or k == 0:
        return np.zeros((n, k), np.int64), np.zeros((n, k), np.float32)
    more = min(k + SPARE, index.ntotal)
    parameters = faiss.SearchParametersIVF(nprobe=n_probes) if _is_ivf(index) else None
    parts = [index.search(unit(queries[start : start + QUERIES]), more, params=parameters) for start in range(0, n, QUERIES)]
    similarities = np.concatenate([part[0] for part in parts])
    positions = np.concatenate([part[1] for part in parts]).astype(np.int64)
    similarities = np.where(positions < 0, np.float32(-1.0), np.clip(similarities, -1.0, 1.0))
    return best_first(positions, similarities, k)


def others_found(index: Any, vectors: np.ndarray, rows: np.ndarray, *, k: int, n_probes: int) -> np.ndarray:
    """Positions (m, k) that a search finds for each of `rows` (m,) of the indexed `vectors`, the row itself excluded; -1 where fewer."""
    found, _ = search(index, np.asarray(vectors[rows]), k=k + 1, n_probes=n_probes)
    others = np.argsort(found == rows[:, None], axis=1, kind="stable")[:, :-1]
    return np.take_along_axis(found, others, axis=1)


def remove_rows(index: Any, positions: np.ndarray, left: np.ndarray) -> Any:
    """An index without the rows at `positions` (m,) int64, ascending; those after them move up, as in the vectors that are `left` (n, d).

    Links can't lose a row, so HNSW is built anew; other kinds change in place.
    """
    faiss = _faiss()

    links = _links(index)
    if links is not None:
        return build_index(left, kind="hnsw", effort=links.efConstruction)
    index.remove_ids(np.ascontiguousarray(positions, np.int64))
    if not _is_ivf(index):  # a flat index has moved its rows itself
        return index
    lists: Any = faiss.extract_index_ivf(index).invlists
    for number in range(lists.nlist):
        size = lists.list_size(number)
        if size:
            ids = faiss.rev_swig_ptr(lists.get_ids(number), size)  # the list's own memory
            ids -= np.searchsorted(positions, ids)
    return index


def _faiss() -> Any:
    """FAISS, of which its own type hints don't know enough."""
    import faiss

    return faiss


def kind_of(index: Any) -> IndexKind:
    """The kind of an index that `build_index` made."""
    if _links(index) is not None:
        return "hnsw"
    return ("ivf_pq" if hasattr(index, "pq") else "ivf") if _is_ivf(index) else "exact"


def _is_ivf(index: Any) -> bool:
    return hasattr(index, "nprobe")


def _links(index: Any) -> Any:
    return getattr(index, "hnsw", None)
