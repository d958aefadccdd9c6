"""Search: nearest neighbours by cosine similarity, out of embeddings. The only door to FAISS.

FAISS proposes candidates in float32; the order and the similarities that leave this module are computed again from the float16 vectors.
A product of two float16 numbers is a multiple of 2**-48, so a float64 sum of them is exact for unit vectors, whatever the order of
summation: neighbours depend neither on threads nor on the size of a tile, and copies of one vector tie exactly (position decides).
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

IndexKind = Literal["exact", "ivf", "ivf_pq"]
QUERIES = 8192  # rows of a tile; bounds memory, changes no result
TILE = 131_072
RESCORED_BYTES = 1 << 26
SPARE = 8  # candidates beyond those asked for, so that float32 rounding at the last place can't lose a neighbour


def choose_index(n: int, d: int, *, max_exact: int, memory_gb: float) -> IndexKind:
    """The kind of index for `n` vectors of `d` numbers.

    Exact up to `max_exact` rows (cost grows with n squared); above that inverted lists of float16 vectors while these fit in half of
    `memory_gb`; above that product-quantised lists of d/4 bytes a vector (an eighth of float16), whose candidates are rescored.
    """
    if n <= max_exact:
        return "exact"
    return "ivf" if 2.0 * n * d <= memory_gb * 2**30 / 2 else "ivf_pq"


def build_index(
    vectors: np.ndarray, *, kind: IndexKind = "exact", lists_per_sqrt: float = 4.0, points_per_list: int = 64, seed: int = 0
) -> Any:
    """A FAISS index (inner product) over the normalised rows of `vectors` (n, d) float16 or float32, array or memmap.

    `kind` "ivf" keeps float16 vectors in `lists_per_sqrt` * sqrt(n) inverted lists, "ivf_pq" codes of d/4 bytes. Lists are trained
    on a sample of `points_per_list` rows each, drawn by `seed`. Raises ValueError for an unknown kind or a width that PQ can't divide.
    """
    import faiss

    n, d = _shape(vectors)
    if kind not in get_args(IndexKind):
        raise ValueError(f"index kind {kind!r} is unknown: use one of {', '.join(get_args(IndexKind))}")
    if kind == "ivf_pq" and d % 4:
        raise ValueError(f"index kind 'ivf_pq' needs a width that 4 divides, not {d}: use 'ivf' or another encoder")
    n_lists = max(1, min(round(lists_per_sqrt * math.sqrt(n)), n))
    recipe = {"exact": "Flat", "ivf": f"IVF{n_lists},SQfp16", "ivf_pq": f"IVF{n_lists},PQ{d // 4}x8"}[kind]
    index = faiss.index_factory(d, recipe, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        size = min(n, max(n_lists * points_per_list, 256 * points_per_list))
        sample = np.sort(np.random.default_rng(seed).choice(n, size=size, replace=False))
        lists = faiss.extract_index_ivf(index).cp
        lists.seed, lists.max_points_per_centroid, lists.min_points_per_centroid = seed, points_per_list, 1
        index.train(_unit(vectors[sample]))
    for start in range(0, n, TILE):
        index.add(_unit(vectors[start : start + TILE]))
    return index


def search(index: Any, queries: np.ndarray, *, k: int, n_probes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Positions (m, k) int64 and cosine similarities (m, k) float32 of the `k` nearest rows, nearest first; ties by position.

    Where an approximate index finds fewer, positions end in -1 with similarity -1. `n_probes` lists are looked at (not used by "exact").
    """
    import faiss

    n, d = _shape(queries)
    if d != index.d:
        raise ValueError(f"queries of width {d} for an index of width {index.d}: use the encoder that the index was built with")
    k = min(k, index.ntotal)
    if n == 0 or k == 0:
        return np.zeros((n, k), np.int64), np.zeros((n, k), np.float32)
    more = min(k + SPARE, index.ntotal)
    parameters = _probing(faiss, n_probes) if _is_ivf(index) else None
    parts = [index.search(_unit(queries[start : start + QUERIES]), more, params=parameters) for start in range(0, n, QUERIES)]
    similarities = np.concatenate([part[0] for part in parts])
    positions = np.concatenate([part[1] for part in parts]).astype(np.int64)
    similarities = np.where(positions < 0, np.float32(-1.0), np.clip(similarities, -1.0, 1.0))
    return _sorted(positions, similarities, k)


def knn_graph(vectors: np.ndarray, *, n_neighbors: int, index: Any = None, n_probes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours (n, k) int64 and cosine similarities (n, k) float32 of every row, nearest first, ties by position.

    k = min(n_neighbors, n - 1): every row has all its k neighbours, there is no padding. A row is never its own neighbour (told by its
    position: copies can stand before it). Without an `index`, or with an exact one, the search is exact; an approximate index proposes
    candidates from `n_probes` lists, and rows for which these are too few are searched exactly. Vectors need not have length 1;
    float32 is rounded to float16 first.
    """
    n, _ = _shape(vectors)
    k = max(0, min(n_neighbors, n - 1))
    neighbors, similarities = np.zeros((n, k), np.int64), np.zeros((n, k), np.float32)
    for start, found, scores in knn_blocks(vectors, n_neighbors=n_neighbors, index=index, n_probes=n_probes):
        neighbors[start : start + len(found)], similarities[start : start + len(found)] = found, scores
    return neighbors, similarities


def knn_blocks(
    vectors: np.ndarray, *, n_neighbors: int, index: Any = None, n_probes: int = 1, rows: range | None = None
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """`knn_graph` block by block (first row, neighbours, similarities), of all rows or of the range `rows`; memory doesn't grow with n."""
    n, _ = _shape(vectors)
    k = max(0, min(n_neighbors, n - 1))
    norms = _norms(vectors)
    approximate = index is not None and _is_ivf(index)
    rows = range(n) if rows is None else rows
    for start in range(rows.start, rows.stop, QUERIES):
        wanted = np.arange(start, min(start + QUERIES, rows.stop))
        if k == 0:
            yield start, np.zeros((len(wanted), 0), np.int64), np.zeros((len(wanted), 0), np.float32)
            continue
        if approximate:
            candidates = _probe(index, vectors, wanted, min(k + 1 + SPARE, n), n_probes)
        else:
            candidates = _scan(vectors, wanted, min(k + 1 + SPARE, n))
        found, scores = _rescored(vectors, norms, wanted, candidates, k)
        missing = np.flatnonzero(np.isneginf(scores[:, -1]))
        if len(missing):
            exact = _scan(vectors, wanted[missing], min(k + 1 + SPARE, n))
            found[missing], scores[missing] = _rescored(vectors, norms, wanted[missing], exact, k)
        yield start, found, scores.astype(np.float32)


def pair_similarities(vectors: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Cosine similarity (m,) float32 of the rows in each of `pairs` (m, 2)."""
    similarities = np.zeros(len(pairs), np.float32)
    for start in range(0, len(pairs), QUERIES):
        left, right = (np.asarray(vectors[pairs[start : start + QUERIES, side]]).astype(np.float64) for side in (0, 1))
        lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        similarities[start : start + QUERIES] = np.clip((left * right).sum(axis=1) / np.maximum(lengths, 1e-12), -1.0, 1.0)
    return similarities


def graph_recall(vectors: np.ndarray, neighbors: np.ndarray, *, n_samples: int, seed: int) -> float:
    """Share of the true neighbours (exact search) that `neighbors` (n, k) holds, on a seeded sample of rows; 1 is best.

    A neighbour as near as the k-th true one counts, for copies are interchangeable.
    """
    n, k = neighbors.shape
    if k == 0 or n_samples < 1:
        return 1.0
    rows = np.sort(np.random.default_rng(seed).choice(n, size=min(n, n_samples), replace=False))
    norms = _norms(vectors)
    _, truth = _rescored(vectors, norms, rows, _scan(vectors, rows, min(k + 1 + SPARE, n)), k)
    _, held = _rescored(vectors, norms, rows, neighbors[rows], k)
    return float((held >= truth[:, -1:] - 1e-9).mean())


def remove_rows(index: Any, positions: np.ndarray) -> None:
    """Take the rows at `positions` (m,) int64, ascending, out of an index; those after them move up, as they do in the vectors."""
    import faiss

    index.remove_ids(np.ascontiguousarray(positions, np.int64))
    if not _is_ivf(index):  # a flat index has moved its rows itself
        return
    lists: Any = faiss.extract_index_ivf(index).invlists
    for number in range(lists.nlist):
        size = lists.list_size(number)
        if size:
            ids = faiss.rev_swig_ptr(lists.get_ids(number), size)  # the list's own memory
            ids -= np.searchsorted(positions, ids)


def write_index(index: Any, path: Path) -> None:
    """Write an index as a FAISS file."""
    import faiss

    faiss.write_index(index, str(path))


def read_index(path: Path, *, mapped: bool = False) -> Any:
    """Read a FAISS file; `mapped` leaves the vectors on the disk until they are looked at. Raises ValueError if it isn't one."""
    import faiss

    flags = faiss.IO_FLAG_MMAP_IFC if mapped else 0
    try:
        return faiss.read_index(str(path), flags)
    except RuntimeError as error:
        raise ValueError(f"{path} is no FAISS index that can be read: run `dvc repro index` ({str(error).splitlines()[0]})") from None


def _shape(vectors: np.ndarray) -> tuple[int, int]:
    if vectors.ndim != 2 or vectors.dtype not in (np.float16, np.float32):
        raise ValueError(f"vectors must be (n, d) float16 or float32, not {vectors.shape} {vectors.dtype}")
    return vectors.shape


def _is_ivf(index: Any) -> bool:
    return hasattr(index, "nprobe")


def _unit(block: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32; a row of zeros stays."""
    block = np.ascontiguousarray(np.asarray(block).astype(np.float16), dtype=np.float32)
    unit: np.ndarray = block / np.maximum(np.linalg.norm(block, axis=1, keepdims=True), np.float32(1e-12))
    return unit


def _norms(vectors: np.ndarray) -> np.ndarray:
    norms = np.zeros(len(vectors))
    for start in range(0, len(vectors), QUERIES):
        block = np.asarray(vectors[start : start + QUERIES]).astype(np.float16).astype(np.float64)
        norms[start : start + QUERIES] = np.sqrt((block * block).sum(axis=1))
    return np.maximum(norms, 1e-12)


def _scan(vectors: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """Positions (m, k) of the nearest rows by exact search, tile after tile; a row itself is among them."""
    import faiss

    queries = _unit(vectors[rows])
    best, positions = np.zeros((len(rows), 0), np.float32), np.zeros((len(rows), 0), np.int64)
    for start in range(0, len(vectors), TILE):
        tile = _unit(vectors[start : start + TILE])
        scores, found = faiss.knn(queries, tile, min(k, len(tile)), metric=faiss.METRIC_INNER_PRODUCT)
        best, positions = np.hstack([best, scores]), np.hstack([positions, found.astype(np.int64) + start])
        positions, best = _sorted(positions, best, k)
    return positions


def _probing(faiss: Any, n_probes: int) -> Any:
    return faiss.SearchParametersIVF(nprobe=n_probes)


def _probe(index: Any, vectors: np.ndarray, rows: np.ndarray, k: int, n_probes: int) -> np.ndarray:
    import faiss

    _, found = index.search(_unit(vectors[rows]), k, params=_probing(faiss, n_probes))
    return np.asarray(found, np.int64)


def _rescored(vectors: np.ndarray, norms: np.ndarray, rows: np.ndarray, candidates: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` best candidates of each row by their exact similarity; -inf where there are fewer."""
    scores = np.empty(candidates.shape)
    step = max(1, RESCORED_BYTES // (8 * max(1, candidates.shape[1]) * vectors.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        query = np.asarray(vectors[rows[part]]).astype(np.float16).astype(np.float64)
        others = np.asarray(vectors[candidates[part]]).astype(np.float16).astype(np.float64)
        scores[part] = np.matmul(others, query[:, :, None])[:, :, 0] / (norms[rows[part], None] * norms[candidates[part]])
    scores = np.where((candidates < 0) | (candidates == rows[:, None]), -np.inf, np.clip(scores, -1.0, 1.0))
    return _sorted(candidates, scores, k)


def _sorted(positions: np.ndarray, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((positions, -scores), axis=1)[:, :k]
    return np.take_along_axis(positions, order, axis=1), np.take_along_axis(scores, order, axis=1)
