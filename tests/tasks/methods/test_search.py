"""Search: the graph against brute force, ties and copies, one answer for any number of threads."""

import faiss
import numpy as np
import pytest

from tasks.methods import search


def clusters(n: int = 3000, d: int = 32, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(40, d))[rng.integers(0, 40, n)] + 0.6 * rng.normal(size=(n, d))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def brute_force(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    similarities = np.clip(exact @ exact.T, -1, 1)
    np.fill_diagonal(similarities, -np.inf)
    order = np.lexsort((np.broadcast_to(np.arange(len(vectors)), similarities.shape), -similarities.round(12)), axis=1)[:, :k]
    return order, np.take_along_axis(similarities, order, axis=1)


@pytest.mark.parametrize(("queries", "tile"), [(8192, 131_072), (170, 333)])
def test_exact_graph_equals_brute_force_for_any_tile(monkeypatch, queries, tile):
    monkeypatch.setattr(search, "QUERIES", queries)
    monkeypatch.setattr(search, "TILE", tile)
    vectors = clusters(1000)
    neighbors, similarities = search.knn_graph(vectors, n_neighbors=12)
    expected, scores = brute_force(vectors, 12)
    assert neighbors.dtype == np.int64
    assert similarities.dtype == np.float32
    assert (neighbors == expected).all()
    assert np.abs(similarities - scores).max() < 1e-6


def test_copies_tie_by_position_and_a_row_is_never_its_own_neighbour():
    vectors = np.repeat(clusters(5), 3, axis=0)
    neighbors, similarities = search.knn_graph(vectors, n_neighbors=2)
    assert neighbors[:6].tolist() == [[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]]
    assert (similarities == 1.0).all()


@pytest.mark.parametrize(("n", "width"), [(0, 0), (1, 0), (3, 2)])
def test_fewer_rows_than_neighbours_make_a_narrower_graph(n, width):
    neighbors, similarities = search.knn_graph(clusters(3)[:n], n_neighbors=5)
    assert neighbors.shape == similarities.shape == (n, width)


@pytest.mark.parametrize("kind", ["ivf", "ivf_pq"])
def test_approximate_graphs_recall_most_and_have_full_rows(kind):
    vectors = clusters()
    index = search.build_index(vectors, kind=kind, seed=1)
    neighbors, similarities = search.knn_graph(vectors, n_neighbors=10, index=index, n_probes=60)
    assert neighbors.min() >= 0
    assert (neighbors != np.arange(len(vectors))[:, None]).all()
    assert (np.diff(similarities, axis=1) <= 0).all()
    assert search.graph_recall(vectors, neighbors, n_samples=200, seed=0) > (0.97 if kind == "ivf" else 0.5)


def test_rows_with_too_few_candidates_are_searched_exactly():
    vectors = clusters(400)
    index = search.build_index(vectors, kind="ivf", lists_per_sqrt=10)
    neighbors, _ = search.knn_graph(vectors, n_neighbors=30, index=index, n_probes=1)
    assert neighbors.shape == (400, 30)
    assert neighbors.min() >= 0


@pytest.mark.parametrize("kind", ["exact", "ivf"])
def test_threads_change_nothing(kind):
    vectors, found = clusters(2000), []
    before = faiss.omp_get_max_threads()
    for threads in (1, 2):
        faiss.omp_set_num_threads(threads)
        index = search.build_index(vectors, kind=kind, seed=3)
        found.append(search.knn_graph(vectors, n_neighbors=10, index=index, n_probes=8))
    faiss.omp_set_num_threads(before)
    assert (found[0][0] == found[1][0]).all()
    assert found[0][1].tobytes() == found[1][1].tobytes()


def test_recall_counts_what_is_missing():
    vectors = clusters(500)
    neighbors, _ = search.knn_graph(vectors, n_neighbors=10)
    assert search.graph_recall(vectors, neighbors, n_samples=100, seed=0) == 1.0
    far = np.argsort(vectors.astype(np.float32) @ vectors.T.astype(np.float32), axis=1)[:, :5]
    assert search.graph_recall(vectors, np.hstack([neighbors[:, :5], far]), n_samples=500, seed=0) == 0.5


def test_search_finds_the_rows_themselves_and_survives_the_disk(tmp_path):
    vectors = clusters(300)
    search.write_index(search.build_index(vectors), tmp_path / "image.index")
    positions, similarities = search.search(search.read_index(tmp_path / "image.index"), vectors[:20], k=3)
    assert positions[:, 0].tolist() == list(range(20))
    assert np.abs(similarities[:, 0] - 1).max() < 1e-6


def test_a_choice_of_index_follows_size_and_memory():
    chosen = [search.choose_index(n, 512, max_exact=200_000, memory_gb=8.0) for n in (200_000, 200_001, 4_000_000, 5_000_000)]
    assert chosen == ["exact", "ivf", "ivf", "ivf_pq"]


def test_pairs_have_their_cosine():
    vectors = np.array([[2, 0], [0, 1], [1, 1]], np.float16)
    assert np.allclose(search.pair_similarities(vectors, np.array([[0, 1], [0, 2], [1, 1]])), [0, 0.5**0.5, 1])


def test_messages_name_the_value(tmp_path):
    with pytest.raises(ValueError, match=r"index kind 'hnsw' is unknown: use one of exact, ivf, ivf_pq"):
        search.build_index(clusters(10), kind="hnsw")
    with pytest.raises(ValueError, match=r"needs a width that 4 divides, not 30"):
        search.build_index(clusters(10, d=30), kind="ivf_pq")
    with pytest.raises(ValueError, match=r"queries of width 16 for an index of width 32"):
        search.search(search.build_index(clusters(10)), clusters(2, d=16), k=1)
    with pytest.raises(ValueError, match=r"vectors must be \(n, d\) float16 or float32, not \(3,\) float64"):
        search.knn_graph(np.zeros(3), n_neighbors=1)
    (tmp_path / "image.index").write_bytes(b"no index")
    with pytest.raises(ValueError, match=r"is no FAISS index that can be read: run `dvc repro index`"):
        search.read_index(tmp_path / "image.index")


@pytest.mark.parametrize("kind", ["exact", "ivf", "ivf_pq"])
def test_removed_rows_leave_and_later_ones_move_up(kind: str) -> None:
    vectors = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float16)
    gone = np.array([0, 7, 398, 399])
    index = search.build_index(vectors, kind=kind, lists_per_sqrt=1.0, points_per_list=64)
    search.remove_rows(index, gone)
    left = np.delete(vectors, gone, axis=0)
    assert index.ntotal == len(left)
    found, _ = search.search(index, left, k=1, n_probes=1000)
    assert (found[:, 0] == np.arange(len(left))).mean() > 0.95  # product-quantised codes may tie
