"""Neighbours: the graph against brute force, ties and copies, recall."""

import numpy as np
import pytest

from tasks.methods import knn
from tests.tasks.methods.test_search import clusters


def brute_force(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    similarities = np.clip(exact @ exact.T, -1, 1)
    np.fill_diagonal(similarities, -np.inf)
    order = np.lexsort((np.broadcast_to(np.arange(len(vectors)), similarities.shape), -similarities.round(12)), axis=1)[:, :k]
    return order, np.take_along_axis(similarities, order, axis=1)


@pytest.mark.parametrize(("queries", "tile"), [(8192, 131_072), (170, 333)])
def test_exact_graph_equals_brute_force_for_any_tile(monkeypatch, queries, tile):
    monkeypatch.setattr(knn, "QUERIES", queries)
    monkeypatch.setattr(knn, "TILE", tile)
    vectors = clusters(1000)
    neighbors, similarities = knn.knn_graph(vectors, n_neighbors=12)
    expected, scores = brute_force(vectors, 12)
    assert neighbors.dtype == np.int64
    assert similarities.dtype == np.float32
    assert (neighbors == expected).all()
    assert np.abs(similarities - scores).max() < 1e-6


def test_copies_tie_by_position_and_a_row_is_never_its_own_neighbour():
    vectors = np.repeat(clusters(5), 3, axis=0)
    neighbors, similarities = knn.knn_graph(vectors, n_neighbors=2)
    assert neighbors[:6].tolist() == [[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]]
    assert (similarities == 1.0).all()


@pytest.mark.parametrize(("n", "width"), [(0, 0), (1, 0), (3, 2)])
def test_fewer_rows_than_neighbours_make_a_narrower_graph(n, width):
    neighbors, similarities = knn.knn_graph(clusters(3)[:n], n_neighbors=5)
    assert neighbors.shape == similarities.shape == (n, width)


def test_blocks_of_a_range_are_those_of_the_graph():
    vectors = clusters(300)
    blocks = list(knn.knn_blocks(vectors, n_neighbors=4, rows=range(100, 250)))
    assert [start for start, _, _ in blocks] == [100]
    assert (blocks[0][1] == knn.knn_graph(vectors, n_neighbors=4)[0][100:250]).all()


def test_recall_counts_what_is_missing():
    vectors = clusters(500)
    neighbors, _ = knn.knn_graph(vectors, n_neighbors=10)
    rows = knn.sampled_rows(500, 100, seed=0)
    assert len(rows) == 100
    assert (np.diff(rows) > 0).all()
    assert knn.graph_recall(vectors, rows, neighbors[rows]) == 1.0
    far = np.argsort(vectors.astype(np.float32) @ vectors.T.astype(np.float32), axis=1)[:, :5]
    assert knn.graph_recall(vectors, rows, np.hstack([neighbors[:, :5], far])[rows]) == 0.5
    assert knn.graph_recall(vectors, rows, np.where(np.arange(10) < 8, neighbors[rows], -1)) == pytest.approx(0.8)
    assert knn.graph_recall(vectors, rows[:0], neighbors[:0]) == 1.0
