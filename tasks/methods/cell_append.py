"""Append to a graph: work the rows of a new crawl into the kNN graph of the cells, both ways, without looking at old pairs again.

The result is the graph that `build_cell_graph` would make of all rows in these cells.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.methods.cell_graph import (
    NOTHING,
    ROUNDING,
    WRITTEN,
    cell_neighbors,
    merged,
    pack,
    pair_products,
    side_by_side,
    tile_neighbors,
    unpack,
)
from tasks.methods.cells import Cells, near_cells
from tasks.methods.vectors import release, shape_of, unit

AT_ONCE = 20_000  # new rows whose vectors are held; bounds memory


@dataclass(frozen=True)
class Graph:
    """A packed graph that grows: its rows are sorted by cell in `order`, from `begins` on; `near` are the cells that each looks into."""

    vectors: np.ndarray
    packed: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    begins: np.ndarray
    near: np.ndarray
    threads: int

    def rows(self, cell: int) -> np.ndarray:
        """The rows of a cell, ascending."""
        found: np.ndarray = self.order[self.begins[cell] : self.begins[cell + 1]]
        return found


def append_to_cell_graph(
    vectors: np.ndarray, cells: Cells, path: Path, *, n_old: int, n_neighbors: int, n_probes: int, threads: int = 1
) -> np.ndarray:
    """Grow the packed graph in the raw file at `path` from `n_old` rows to all of `vectors` (n, d), and map it.

    `cells` hold all rows; the file was made with the same centroids, `n_neighbors` and `n_probes`. Raises ValueError if it was not made
    of `n_old` rows, or these are too few to have `n_neighbors` each.
    """
    n, _ = shape_of(vectors)
    if n_old <= n_neighbors or path.stat().st_size != n_old * n_neighbors * 8:
        raise ValueError(f"{path} is no graph of {n_old} rows with {n_neighbors} neighbours each: build it anew")
    with path.open("r+b") as file:
        file.truncate(n * n_neighbors * 8)
    packed = np.memmap(path, mode="r+", dtype=np.uint64, shape=(n, n_neighbors))
    packed[n_old:] = NOTHING
    near = near_cells(cells.centroids, n_probes)
    graph = Graph(vectors, packed, cells.labels, *cells.order, near, threads)
    old_sizes = np.bincount(cells.labels[:n_old], minlength=len(near))
    scarce = old_sizes[near].sum(axis=1) <= n_neighbors  # were searched exactly, or still are
    for start in range(n_old, n, AT_ONCE):
        _work_in(graph, ~scarce, n_old, range(start, min(start + AT_ONCE, n)))
    for cell in np.flatnonzero(scarce & (np.diff(graph.begins) > 0)).tolist():
        packed[graph.rows(cell)] = _from_scattered(graph, cell)
    packed.flush()
    return packed


def _work_in(graph: Graph, common: np.ndarray, n_old: int, fresh: range) -> None:
    """Find the neighbours of the `fresh` rows, and put these among the neighbours of the `n_old` first rows in cells that are `common`."""
    arrived, k = unit(graph.vectors[fresh.start : fresh.stop]), graph.packed.shape[1]
    by_cell, begins = np.argsort(graph.labels[fresh.start : fresh.stop], kind="stable"), np.zeros(len(graph.near) + 1, np.int64)
    np.cumsum(np.bincount(graph.labels[fresh.start : fresh.stop], minlength=len(graph.near)), out=begins[1:])
    seekers: list[list[int]] = [[] for _ in range(len(graph.near))]  # cells whose rows look into this one
    for cell, others in enumerate(graph.near.tolist()):
        for other in others:
            seekers[other].append(cell)

    def members(cells: Iterable[int]) -> np.ndarray:
        return np.concatenate([by_cell[begins[cell] : begins[cell + 1]] for cell in cells])

    def look(cell: int) -> tuple[np.ndarray, np.ndarray]:
        rows, looking = graph.rows(cell), members(seekers[cell])
        shown = members(graph.near[cell]) if common[cell] else looking[:0]
        found = np.zeros((0, k), np.uint64)
        if len(rows) and len(looking) + len(shown):
            tile, before = unit(graph.vectors[rows]), int(np.searchsorted(rows, n_old))
            if len(looking):
                found = tile_neighbors(arrived[looking], fresh.start + looking, tile, rows, k, False)
            if len(shown) and before:
                _offer(graph.packed, rows[:before], tile[:before], arrived, np.sort(shown), fresh.start)
        if cell % WRITTEN == 0:
            release(graph.vectors)
            release(graph.packed)
        return looking[: len(found)], found

    best = graph.packed[fresh.start : fresh.stop].copy()
    for looking, found in side_by_side(look, range(len(graph.near)), graph.threads):
        best[looking] = merged(best[looking], found, k)
    graph.packed[fresh.start : fresh.stop] = best


def _offer(graph: np.ndarray, rows: np.ndarray, queries: np.ndarray, arrived: np.ndarray, shown: np.ndarray, first: int) -> None:
    """Put those `shown` of the rows that arrived among the neighbours of `rows` (m,), where they are nearer than the last of these."""
    last = unpack(graph[rows, -1])[1]
    close = queries @ arrived[shown].T > (last - np.float32(ROUNDING))[:, None]
    counts = close.sum(axis=1)
    changed = np.flatnonzero(counts)
    if not len(changed):
        return
    # Each changed row's offers stand first in its line, and then others, which do no harm for they are no nearer than they are.
    width = int(counts.max())
    places = np.argsort(~close[changed], axis=1, kind="stable")[:, :width]
    offered = pack(pair_products(queries[changed], arrived, shown[places]), first + shown[places])
    graph[rows[changed]] = merged(graph[rows[changed]], offered, graph.shape[1])


def _from_scattered(graph: Graph, cell: int) -> np.ndarray:
    """The neighbours of a whole cell, from vectors in their own order."""
    near, k = graph.near[cell], graph.packed.shape[1]
    wanted = np.concatenate([graph.rows(other) for other in near])
    spans = np.concatenate([[0], np.cumsum([len(graph.rows(other)) for other in near])])
    return cell_neighbors(graph.vectors, np.asarray(graph.vectors[wanted]), wanted, spans, 0, np.arange(len(near)), k, False)
