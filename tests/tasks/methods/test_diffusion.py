"""Local diffusion: against the exact PageRank, on cliques by hand, by sense, and without a look at the rest of the graph."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.methods.diffusion import AgreeingGraph, Look, local_cluster, push, sweep
from tasks.methods.knn import knn_graph
from tests.tasks.methods.test_search import clusters

TOLD = {"alpha": 0.15, "disagreement": 0.05}


def look_at(neighbors: list[list[int]] | np.ndarray, labels: list[int] | np.ndarray, seen: set[int] | None = None) -> Look:
    width = max((len(row) for row in neighbors), default=0)
    table = np.array([[*row, *[-1] * (width - len(row))] for row in neighbors], np.int64).reshape(-1, width)

    def look(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert seen is None or not seen & set(rows.tolist())
        if seen is not None:
            seen.update(rows.tolist())
        return table[rows], np.asarray(labels)[rows]

    return look


def cliques(n: int, size: int) -> list[list[int]]:
    """`n` cliques in a ring; the last of each also knows the first of the next."""
    near = [[other for other in range(row - row % size, row - row % size + size) if other != row] for row in range(n * size)]
    for last in range(size - 1, n * size, size):
        following = (last + 1) % (n * size)
        near[last].append(following)
        near[following].append(last)
    return near


def matrix_of(graph: AgreeingGraph, n: int) -> np.ndarray:
    graph.read(range(n))
    weights = np.zeros((n, n))
    for row in range(n):
        for other, weight in graph.edges(row).items():
            weights[row, other] = weight
    return weights


def test_a_clique_is_found_and_the_anchor_comes_first():
    found = local_cluster(look_at(cliques(6, 5), [0] * 30), 11, n_rows=30, size=4, **TOLD)
    assert set(found) == {10, 11, 12, 13, 14}
    assert found[0] == 11


def test_rows_of_another_sense_are_left_behind():
    near = [[other for other in range(10) if other != row] for row in range(10)]
    assert set(local_cluster(look_at(near, [0] * 10), 3, n_rows=200, size=5, **TOLD)) == set(range(10))
    found = local_cluster(look_at(near, [0, 0, 1, 0, 1, 0, 1, 1, 1, 0]), 3, n_rows=200, size=5, **TOLD)
    assert set(found) == {0, 1, 3, 5, 9}


def test_a_wrong_label_inside_is_forgiven():
    labels = [0] * 30
    labels[12] = 1
    assert 12 in local_cluster(look_at(cliques(6, 5), labels), 11, n_rows=30, size=4, **TOLD)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 25), st.integers(1, 5), st.integers(0, 100), st.sampled_from([0.02, 0.001]))
def test_ranks_are_the_pagerank_up_to_the_tolerance(n, k, seed, tolerance):
    rng = np.random.default_rng(seed)
    graph = AgreeingGraph(look_at([rng.choice(n, min(k, n), replace=False).tolist() for _ in range(n)], rng.integers(-1, 3, n)), 0.1)
    weights = matrix_of(graph, n)
    assert (weights == weights.T).all()
    degrees = weights.sum(1)
    anchor = int(degrees.argmax())
    if not degrees[anchor]:
        return
    walk = weights / np.maximum(degrees, 1e-12)[:, None]
    exact = np.linalg.solve(np.eye(n) - 0.85 * walk.T, 0.15 * np.eye(n)[anchor])
    ranks = push(graph, anchor, alpha=0.15, tolerance=tolerance)
    found = np.array([ranks.get(row, 0.0) for row in range(n)])
    assert (found <= exact + 1e-9).all()
    assert (exact - found <= tolerance * degrees + 1e-9).all()


def test_the_sweep_takes_the_prefix_of_least_conductance():
    graph = AgreeingGraph(look_at(cliques(4, 3), [0] * 12), 0.1)
    weights = matrix_of(graph, 12)
    ranks = {row: float(12 - row) * weights[row].sum() for row in range(12)}
    ends = [weights[:n, n:].sum() / min(weights[:n].sum(), weights[n:].sum()) for n in range(1, 12)]
    assert sweep(graph, ranks, n_rows=12, most=12) == list(range(int(np.argmin(ends)) + 1)) == list(range(6))
    assert sweep(graph, ranks, n_rows=12, most=4) == list(range(3))


def test_the_far_side_of_the_graph_is_never_looked_at():
    seen: set[int] = set()
    found = local_cluster(look_at(cliques(400, 5), [0] * 2000, seen), 11, n_rows=2000, size=4, **TOLD)
    assert set(found) == {10, 11, 12, 13, 14}
    assert len(seen) < 150


def test_a_row_that_nobody_holds_near_and_labels_that_nobody_knows():
    assert local_cluster(look_at([[1], [2], [1]], [0, 0, 0]), 0, n_rows=3, size=5, **TOLD) == [0]
    assert local_cluster(look_at([[-1]], [0]), 0, n_rows=1, size=5, **TOLD) == [0]
    found = local_cluster(look_at(cliques(6, 5), [-1] * 30), 11, n_rows=30, size=4, **TOLD)
    assert set(found) == {10, 11, 12, 13, 14}  # all edges weigh the same again


def test_embeddings_that_are_all_equal_and_those_that_cluster():
    neighbors, _ = knn_graph(np.ones((12, 4), np.float16), n_neighbors=5)
    found = local_cluster(look_at(neighbors, [0] * 12), 2, n_rows=12, size=4, **TOLD)
    assert 2 in found
    vectors = clusters(600)
    neighbors, _ = knn_graph(vectors, n_neighbors=10)
    found = local_cluster(look_at(neighbors, np.zeros(600, int)), 7, n_rows=600, size=10, **TOLD)
    near = vectors[found].astype(np.float32) @ vectors[7].astype(np.float32)
    assert np.median(near) > 0.5


def test_what_can_not_be_is_named():
    with pytest.raises(ValueError, match=r"alpha 1 must be in \(0, 1\), disagreement 0 in \(0, 1\], size 0 at least 1"):
        local_cluster(look_at([[-1]], [0]), 0, n_rows=1, size=0, alpha=1, disagreement=0)
