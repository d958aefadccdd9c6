"""Append to a graph: work the rows of a new crawl into the kNN graph of the cells, both ways, without looking at old pairs again.

The result is the graph that `build_cell_graph` would make of all rows in these cells.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.methods.cell_graph import (
    CANDIDATES,
    NOTHING,
    PAIRS,
    ROUNDING,
    ROWS,
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
OFFERS, TAKEN = 1 << 22, 4096  # offers that are held before they are taken in, and rows that take theirs in at once; bound memory
Offers = tuple[np.ndarray, np.ndarray]  # rows (m,) int64, and a packed neighbour for each (m,) uint64


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


@dataclass(frozen=True)
class Arrivals:
    """New rows that are worked in together, from row `first` on: unit `vectors` (m, d), and their places by cell, from `begins` on."""

    first: int
    vectors: np.ndarray
    by_cell: np.ndarray
    begins: np.ndarray

    def places(self, cells: Iterable[int]) -> np.ndarray:
        """The places of the new rows in `cells`, cell by cell."""
        return np.concatenate([self.by_cell[:0], *(self.by_cell[self.begins[cell] : self.begins[cell + 1]] for cell in cells)])


class Memory(threading.local):
    """Room for the vectors of a tile, one for each thread: new pages for every cell would take as long as filling them."""

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
    labels, begins = graph.labels[fresh.start : fresh.stop], np.zeros(len(graph.near) + 1, np.int64)
    np.cumsum(np.bincount(labels, minlength=len(graph.near)), out=begins[1:])
    new = Arrivals(fresh.start, unit(graph.vectors[fresh.start : fresh.stop]), np.argsort(labels, kind="stable"), begins)
    seekers: list[list[int]] = [[] for _ in range(len(graph.near))]  # cells whose rows look into this one
    for cell, others in enumerate(graph.near.tolist()):
        for other in others:
            seekers[other].append(cell)
    memory, last = Memory(), _last(graph.packed[:n_old])

    def look(cell: int) -> tuple[np.ndarray, np.ndarray, Offers]:
        shown_to = dict.fromkeys(graph.near[cell].tolist() if common[cell] else ())
        # Most of those who look are shown as well: they stand in the middle, so that one product serves both.
        ahead = new.places(other for other in seekers[cell] if other not in shown_to)
        middle = new.places(other for other in seekers[cell] if other in shown_to)
        both = np.concatenate([ahead, middle, new.places(shown_to.keys() - seekers[cell])])
        n_looking = len(ahead) + len(middle)
        found, offers = _meet(graph, graph.rows(cell), last, new, both, (n_looking, len(ahead)), memory)
        if cell % WRITTEN == 0:
            release(graph.vectors)
        return both[:n_looking], found, offers

    best = graph.packed[fresh.start : fresh.stop].copy()
    held: list[Offers] = []
    n_held = 0
    for looking, found, offers in side_by_side(look, range(len(graph.near)), graph.threads):
        best[looking] = merged(best[looking], found, best.shape[1])
        held.append(offers)
        n_held += len(offers[0])
        if n_held > OFFERS:
            _take_in(graph.packed, held)
            held, n_held = [], 0
    if n_held:
        _take_in(graph.packed, held)
    graph.packed[fresh.start : fresh.stop] = best


def _meet(
    graph: Graph, rows: np.ndarray, last: np.ndarray, new: Arrivals, both: np.ndarray, ends: tuple[int, int], memory: Memory
) -> tuple[np.ndarray, Offers]:
    """What new rows find among the `rows` of a cell, packed (n_looking, k), and what they are to those that have a `last` neighbour.

    `both` are their places: up to the first of the `ends`, n_looking, they look; from the second on they are shown. A tile of the
    rows and a slice of the new ones meet at a time: copies of one picture, be it ten thousand, do not all meet at once.
    """
    n_looking, n_ahead = ends
    k, n_old = graph.packed.shape[1], int(np.searchsorted(rows, len(last)))
    found, offers = np.full((n_looking, k), NOTHING), [(rows[:0], np.zeros(0, np.uint64))]
    step = max(1, min(CANDIDATES, PAIRS // max(1, min(len(both), ROWS))))
    for left in range(0, len(rows) if len(both) else 0, step):
        names = rows[left : left + step]
        tile, old = unit(graph.vectors[names], out=memory.tile(len(names), new.vectors.shape[1])), names[: max(0, n_old - left)]
        offered: list[Offers] = []
        for start in range(0, len(both), ROWS):
            places = both[start : start + ROWS]
            vectors, called = new.vectors[places], new.first + places
            products = vectors @ tile.T
            looking, shown = slice(0, max(0, n_looking - start)), slice(max(0, n_ahead - start), None)
            if n_looking > start:
                best = best_of_products(products[looking], vectors[looking], called[looking], tile, names, k)
                part = slice(start, start + len(best))
                found[part] = merged(found[part], best, k) if left else best
            if len(old):
                offered.append(_offers(old, last[old], tile, products[shown, : len(old)], vectors[shown], called[shown], k))
            if len(offered) > 1:
                owners, packed = (np.concatenate(parts) for parts in zip(*offered, strict=True))
                offered = [_nearest(owners, packed, k)]
        offers += offered
    owners, packed = (np.concatenate(parts) for parts in zip(*offers, strict=True))
    return found, (owners, packed)


def _last(graph: np.ndarray) -> np.ndarray:
    """(n,) float32: the cosine of each row's last neighbour."""
    found = np.zeros(len(graph), np.float32)
    for start in range(0, len(graph), 16 * TAKEN):
        found[start : start + 16 * TAKEN] = unpack(graph[start : start + 16 * TAKEN, -1])[1]
        release(graph)
    return found


def _offers(
    rows: np.ndarray, last: np.ndarray, tile: np.ndarray, products: np.ndarray, new: np.ndarray, names: np.ndarray, k: int
) -> Offers:
    """The `k` best at most of the `new` rows (s, d), called `names` (s,), that are nearer to each of `rows` (m,) than its `last`
    neighbour (m,) float32 is.

    The `tile` (at least m, d) begins with the unit vectors of `rows`, `products` (s, m) are theirs with the new ones.
    """
    pairs = np.flatnonzero(products > last - np.float32(ROUNDING))
    if not len(pairs):
        return rows[:0], np.zeros(0, np.uint64)
    offered, wanting = np.divmod(pairs, len(rows))
    by_row = np.argsort(wanting, kind="stable")
    changed, counts = np.unique(wanting, return_counts=True)
    line, place = _table(counts)
    places = np.zeros((len(changed), counts.max()), np.int64)
    places[line, place] = offered[by_row]
    packed = pack(pair_products(tile[changed], new, places)[line, place], names[offered[by_row]])
    found = rows[wanting[by_row]], packed
    return _nearest(*found, k) if counts.max() > k else found


def _nearest(rows: np.ndarray, packed: np.ndarray, k: int) -> Offers:
    """The `k` best at most of what is offered to each row, sorted by row."""
    order = np.lexsort((packed, rows))
    kept = order[_table(np.unique(rows, return_counts=True)[1])[1] < k]
    return rows[kept], packed[kept]


def _take_in(graph: np.ndarray, offers: list[Offers]) -> None:
    """Put what is offered among the neighbours of its rows, in the order of the file: each of its pages is touched once."""
    rows, packed = (np.concatenate(parts) for parts in zip(*offers, strict=True))
    by_row = np.argsort(rows, kind="stable")
    changed, begins, counts = np.unique(rows[by_row], return_index=True, return_counts=True)
    for start in range(0, len(changed), TAKEN):
        part = slice(start, start + TAKEN)
        wide = np.full((len(changed[part]), counts[part].max()), NOTHING)
        taken = by_row[begins[start] : begins[start] + counts[part].sum()]
        wide[_table(counts[part])] = packed[taken]
        graph[changed[part]] = merged(graph[changed[part]], wide, graph.shape[1])
        release(graph)


def _table(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lines and places of a table in which line i has counts[i] entries from its left edge on."""
    ends = np.cumsum(counts)
    return np.repeat(np.arange(len(counts)), counts), np.arange(counts.sum()) - np.repeat(ends - counts, counts)


def _from_scattered(graph: Graph, cell: int) -> np.ndarray:
    """The neighbours of a whole cell, from vectors in their own order."""
    near, k = graph.near[cell], graph.packed.shape[1]
    wanted = np.concatenate([graph.rows(other) for other in near])
    spans = np.concatenate([[0], np.cumsum([len(graph.rows(other)) for other in near])])
    return cell_neighbors(graph.vectors, np.asarray(graph.vectors[wanted]), wanted, spans, 0, np.arange(len(near)), k, False)
