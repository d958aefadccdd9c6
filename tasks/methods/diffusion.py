"""Diffuse from one row: the rows around it that its neighbours, and theirs, lead to more than away from, on the kNN graph.

Only the part of the graph that the diffusion reaches is looked at, so that the work grows with what is found, not with the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

REACH = 20  # times the volume that is expected: how far a diffusion goes before it is too thin to follow
CLOSED = 2  # times the disagreement
Look = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass
class AgreeingGraph:
    """The graph of rows that are each among the other's nearest: an edge weighs 1 if the labels of its ends agree, else `disagreement`.

    `look` tells, for rows (m,) int64, their neighbours (m, k) int64, -1 = none, and their labels (m,) int, -1 = unknown, which agrees
    with nothing; no row is asked for twice. Hubs that are near to everything are nobody's mutual neighbour.
    """

    look: Look
    disagreement: float
    known: dict[int, tuple[np.ndarray, int]] = field(default_factory=dict)
    ties: dict[int, dict[int, float]] = field(default_factory=dict)

    def read(self, rows: Iterable[int]) -> None:
        """Look at rows and at their neighbours, so that the edges of the rows are known."""
        wanted = sorted(set(rows))
        self._fetch(wanted)
        self._fetch(sorted({int(other) for row in wanted for other in self.known[row][0]}))

    def edges(self, row: int) -> dict[int, float]:
        """Mutual neighbours of a row that was read, and the weights of the edges to them."""
        if row not in self.ties:
            near, label = self.known[row]
            there = (other for other in near.tolist() if other != row and row in self.known[other][0])
            self.ties[row] = {other: 1.0 if label >= 0 and label == self.known[other][1] else self.disagreement for other in there}
        return self.ties[row]

    def _fetch(self, rows: list[int]) -> None:
        missing = np.array([row for row in rows if row not in self.known], np.int64)
        if len(missing):
            neighbors, labels = self.look(missing)
            for row, near, label in zip(missing.tolist(), neighbors, labels.tolist(), strict=True):
                self.known[row] = near[near >= 0], label


def push(graph: AgreeingGraph, anchor: int, *, alpha: float, tolerance: float) -> dict[int, float]:
    """The personalised PageRank of rows around `anchor`, too small by less than `tolerance` times a row's degree; others have none.

    Approximate PageRank by pushes (Andersen, Chung and Lang 2006, section 3) of a walk that starts anew with chance `alpha`; the
    edges are those of local clustering with noisy labels. The work is bounded by 1 / (alpha * tolerance), whatever the graph's size.
    """
    ranks: dict[int, float] = {}
    left = {anchor: 1.0}
    while True:
        graph.read(left)
        weights = {row: graph.edges(row) for row in sorted(left)}
        ready = [row for row, found in weights.items() if left[row] >= tolerance * sum(found.values())]
        if not ready:
            return ranks
        for row in ready:
            mass, degree = left.pop(row), sum(weights[row].values())
            ranks[row] = ranks.get(row, 0.0) + alpha * mass
            for other, weight in weights[row].items():
                left[other] = left.get(other, 0.0) + (1 - alpha) * mass * weight / degree


def sweep(graph: AgreeingGraph, ranks: dict[int, float], *, n_rows: int, most: int) -> list[int]:
    """The rows of the prefix of least conductance, among those of up to `most` rows: by rank per degree, highest first, ties by row.

    Andersen, Chung and Lang 2006, section 2: conductance is the weight of the edges that lead out over the smaller of the volumes within
    and without. Where the ranked rows are a whole component, without is what else is in it; else it is estimated from the mean degree
    of the ranked rows, times `n_rows` of the graph. A whole component, which no edge leaves, must not win for that alone if it holds two
    senses: it counts as conductance CLOSED * disagreement, somewhat more than a border of disagreeing edges costs.
    """
    edges = {row: graph.edges(row) for row in ranks}
    degrees = {row: sum(found.values()) for row, found in edges.items()}
    order = sorted(ranks, key=lambda row: (-ranks[row] / degrees[row], row))
    closed = all(other in ranks for found in edges.values() for other in found)
    total = sum(degrees.values()) * (1.0 if closed else n_rows / len(degrees))
    inside: set[int] = set()
    cut, volume, best, n_best = 0.0, 0.0, 1.0, 1
    for row in order[:most]:
        within = sum(weight for other, weight in edges[row].items() if other in inside)
        inside.add(row)
        cut, volume = cut + degrees[row] - 2 * within, volume + degrees[row]
        smaller = min(volume, total - volume)
        if closed and len(inside) == len(order):
            conductance = CLOSED * graph.disagreement
        else:
            conductance = cut / smaller if smaller > 1e-9 * total else 1.0
        if conductance < best:
            best, n_best = conductance, len(inside)
    return order[:n_best]


def local_cluster(look: Look, anchor: int, *, n_rows: int, size: int, alpha: float, disagreement: float) -> list[int]:
    """The rows that `anchor` is tied to most, the closest first and mostly itself, out of a graph of `n_rows`.

    Local clustering with noisy labels: a diffusion on edges that lose weight where labels disagree, so that rows which look alike but
    mean something else are left behind. `size`: how many rows to expect; it sets how far the diffusion reaches, and twice as many are
    the most. Raises ValueError unless alpha is in (0, 1), the disagreement in (0, 1] and the size at least 1.
    """
    if not 0 < alpha < 1 or not 0 < disagreement <= 1 or size < 1:
        raise ValueError(f"alpha {alpha} must be in (0, 1), disagreement {disagreement} in (0, 1], size {size} at least 1")
    graph = AgreeingGraph(look, disagreement)
    graph.read([anchor])
    n_edges = len(graph.edges(anchor))
    if not n_edges:
        return [anchor]
    ranks = push(graph, anchor, alpha=alpha, tolerance=1 / (REACH * size * n_edges))
    return sweep(graph, ranks, n_rows=n_rows, most=2 * size)
