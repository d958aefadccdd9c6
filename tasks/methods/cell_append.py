"""Append to a graph: work the rows of a new crawl into the kNN graph of the cells, both ways, without looking at old pairs again.

The result is the graph that `build_cell_graph` would make of all rows in these cells.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.methods.cell_graph import (
    NOTHING,
    ROUNDING,
    WRITTEN,
    best_of_products,
    cell_neighbors,
    merged,
    pack,
    pair_products,
    side_by_side,
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


class Memory(threading.local):
    """Room for the vectors of a cell, one for each thread: new pages for every cell would take as long as filling them."""

    def __init__(self) -> None:
        self.room = np.zeros(0, np.float32)

    def tile(self, n_rows: int, width: int) -> np.ndarray:
        """(n_rows, width) float32 of any content."""
        if self.room.size < n_rows * width:
            self.room = np.zeros(n_rows * width, np.float32)
        return self.room[: n_rows * width].reshape(n_rows, width)


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
    memory = Memory()

    def members(cells: Iterable[int]) -> np.ndarray:
        return np.concatenate([by_cell[:0], *(by_cell[begins[cell] : begins[cell + 1]] for cell in cells)])

    def look(cell: int) -> tuple[np.ndarray, np.ndarray]:
        rows, shown_to = graph.rows(cell), dict.fromkeys(graph.near[cell].tolist() if common[cell] else ())
        # Most of those who look are shown as well: they stand in the middle, so that one product serves both.
        ahead = members(other for other in seekers[cell] if other not in shown_to)
        middle = members(other for other in seekers[cell] if other in shown_to)
        both = np.concatenate([ahead, middle, members(shown_to.keys() - seekers[cell])])
        looking, found = both[: len(ahead) + len(middle)], np.zeros((0, k), np.uint64)
        if len(rows) and len(both):
            tile, before = unit(graph.vectors[rows], out=memory.tile(len(rows), arrived.shape[1])), int(np.searchsorted(rows, n_old))
            new = arrived[both]
            products = new @ tile.T
            if len(looking):
                found = best_of_products(products[: len(looking)], new[: len(looking)], fresh.start + looking, tile, rows, k)
            if before:
                shown = slice(len(ahead), None)
                _offer(graph.packed, rows[:before], tile[:before], products[shown, :before], new[shown], fresh.start + both[shown])
        if cell % WRITTEN == 0:
            release(graph.vectors)
            release(graph.packed)
        return looking[: len(found)], found

    best = graph.packed[fresh.start : fresh.stop].copy()
    for looking, found in side_by_side(look, range(len(graph.near)), graph.threads):
        best[looking] = merged(best[looking], found, k)
    graph.packed[fresh.start : fresh.stop] = best


def _offer(graph: np.ndarray, rows: np.ndarray, tile: np.ndarray, products: np.ndarray, new: np.ndarray, names: np.ndarray) -> None:
    """Put those of the `new` rows (s, d), called `names` (s,), among the neighbours of `rows` (m,) that are nearer than their last.

    The `tile` (m, d) holds the unit vectors of `rows`, `products` (s, m) are theirs with the new ones.
    """
    last = unpack(graph[rows, -1])[1]
    pairs = np.flatnonzero(products > last - np.float32(ROUNDING))
    if not len(pairs):
        return
    offered, wanting = np.divmod(pairs, len(rows))
    by_row = np.argsort(wanting, kind="stable")
    changed, begins, counts = np.unique(wanting[by_row], return_index=True, return_counts=True)
    line, place = np.repeat(np.arange(len(changed)), counts), np.arange(len(pairs)) - np.repeat(begins, counts)
    places = np.zeros((len(changed), counts.max()), np.int64)
    places[line, place] = offered[by_row]
    offers = pack(pair_products(tile[changed], new, places), names[places])
    offers[np.arange(places.shape[1]) >= counts[:, None]] = NOTHING
    graph[rows[changed]] = merged(graph[rows[changed]], offers, graph.shape[1])


def _from_scattered(graph: Graph, cell: int) -> np.ndarray:
    """The neighbours of a whole cell, from vectors in their own order."""
    near, k = graph.near[cell], graph.packed.shape[1]
    wanted = np.concatenate([graph.rows(other) for other in near])
    spans = np.concatenate([[0], np.cumsum([len(graph.rows(other)) for other in near])])
    return cell_neighbors(graph.vectors, np.asarray(graph.vectors[wanted]), wanted, spans, 0, np.arange(len(near)), k, False)
