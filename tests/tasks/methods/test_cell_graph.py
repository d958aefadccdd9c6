"""The graph over cells: exact where all cells are looked at, packed neighbours, tiles, rows with few candidates."""

from functools import cache

import faiss
import numpy as np
import pytest

from tasks.methods import cell_graph
from tasks.methods.cells import train_cells
from tasks.methods.knn import graph_recall, knn_graph
from tests.tasks.methods.test_search import clusters


def build_packed(vectors, tmp_path, n_neighbors=10, n_probes=1000, per_sqrt=1.0, threads=2, gpu=False):
    cells = train_cells(vectors, cells_per_sqrt=per_sqrt, points_per_cell=32, seed=0)
    sizes = {"n_neighbors": n_neighbors, "n_probes": n_probes, "threads": threads, "gpu": gpu}
    return cell_graph.build_cell_graph(vectors, cells, tmp_path / "graph", **sizes)


def build(vectors, tmp_path, **options):
    return cell_graph.unpack(np.asarray(build_packed(vectors, tmp_path, **options)))


def test_packed_neighbours_sort_by_cosine_then_position():
    cosines, positions = np.array([0.5, -0.5, 1.0, 0.0, 0.5, -1.0], np.float32), np.array([9, 1, 2**32 - 1, 5, 8, 0])
    packed = cell_graph.pack(cosines, positions)
    found, back = cell_graph.unpack(np.sort(packed))
    assert found.tolist() == [2**32 - 1, 8, 9, 5, 1, 0]
    assert back.tolist() == [1.0, 0.5, 0.5, 0.0, -0.5, -1.0]
    assert (packed < cell_graph.NOTHING).all()
    assert cell_graph.unpack(cell_graph.pack(np.array([1.0000001], np.float32), np.array([3])))[1] == [1.0]


@pytest.mark.parametrize(("candidates", "rows"), [(16_384, 1024), (70, 13)])
def test_all_cells_give_the_exact_graph_for_any_tile(monkeypatch, tmp_path, candidates, rows):
    monkeypatch.setattr(cell_graph, "CANDIDATES", candidates)
    monkeypatch.setattr(cell_graph, "ROWS", rows)
    vectors = clusters(1000)
    neighbors, similarities = build(vectors, tmp_path)
    expected, scores = knn_graph(vectors, n_neighbors=10)
    assert (neighbors == expected).mean() > 0.999  # float32 may change places at the seventh digit
    assert np.abs(similarities - scores).max() < 1e-6
    assert not (tmp_path / "graph.cells").exists()


def test_near_cells_hold_most_neighbours_and_fewer_cells_fewer(tmp_path):
    vectors, rows, recalls = clusters(), np.arange(0, 3000, 10), []
    for n_probes in (1, 6):
        neighbors, similarities = build(vectors, tmp_path, n_probes=n_probes)
        assert (neighbors != np.arange(3000)[:, None]).all()
        assert (np.diff(similarities, axis=1) <= 0).all()
        recalls.append(graph_recall(vectors, rows, neighbors[rows]))
    assert recalls[0] < recalls[1]
    assert recalls[1] > 0.95


def test_rows_with_too_few_candidates_are_searched_exactly(tmp_path):
    vectors = clusters(400)
    neighbors, _ = build(vectors, tmp_path, n_neighbors=30, n_probes=1, per_sqrt=10.0)
    assert (neighbors == knn_graph(vectors, n_neighbors=30)[0]).mean() > 0.999


def test_copies_tie_by_position(tmp_path):
    neighbors, similarities = build(np.repeat(clusters(100), 3, axis=0), tmp_path, n_neighbors=2)
    assert neighbors[:6].tolist() == [[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]]
    assert (similarities == 1.0).all() or similarities.min() > 1 - 1e-6


@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_more_copies_than_candidates_tie_by_position(monkeypatch, tmp_path, noise):
    monkeypatch.setattr(cell_graph, "PAIRS", 1000)
    vectors = many_copies(noise)
    found = np.asarray(build_packed(vectors, tmp_path))
    wide = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    cosines = wide @ wide.T
    np.fill_diagonal(cosines, -2)
    best = np.sort(cosines, axis=1)[:, :-11:-1]
    neighbors, similarities = cell_graph.unpack(found)
    assert np.abs(similarities - best).max() < 1e-6
    assert np.abs(np.take_along_axis(cosines, neighbors, axis=1) - best).max() < 1e-6
    if noise == 0.0:
        copies = np.arange(150, 350)
        expected = [[other for other in range(150, 161) if other != row][:10] for row in copies]
        assert neighbors[copies].tolist() == expected
    monkeypatch.setattr(cell_graph, "CANDIDATES", 97)
    monkeypatch.setattr(cell_graph, "ROWS", 13)
    assert np.asarray(build_packed(vectors, tmp_path)).tobytes() == found.tobytes()


def test_copies_tie_by_position_in_an_exact_search_too():
    vectors = many_copies(0.0)
    neighbors, _ = cell_graph.unpack(cell_graph.exact_neighbors(vectors, np.array([150, 349, 7]), 10))
    assert neighbors[:2].tolist() == [list(range(151, 161)), list(range(150, 160))]
    assert neighbors[2].tolist() == knn_graph(vectors, n_neighbors=10)[0][7].tolist()


def test_few_rows_are_in_doubt(monkeypatch, tmp_path):
    doubtful = []
    monkeypatch.setattr(cell_graph, "_best_of_all", lambda queries, *_: doubtful.append(len(queries)))
    build_packed(clusters(1000), tmp_path)
    assert not doubtful


@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_a_gpu_finds_the_same_bytes_and_is_set_up_once(monkeypatch, tmp_path, noise):
    made, tiles = [], []

    def knn_gpu(resources, queries, tile, k, metric):
        assert (resources, metric) == (made[0], faiss.METRIC_INNER_PRODUCT)
        assert queries.flags.c_contiguous
        assert tile.flags.c_contiguous
        tiles.append(len(tile))
        products = queries @ tile.T
        places = np.argsort(-products[:, ::-1], axis=1, kind="stable")[:, :k]  # of equal ones the last
        places = len(tile) - 1 - places
        return np.take_along_axis(products, places, axis=1), places

    monkeypatch.setattr(faiss, "StandardGpuResources", lambda: made.append(object()) or made[-1], raising=False)
    monkeypatch.setattr(faiss, "knn_gpu", knn_gpu, raising=False)
    monkeypatch.setattr(cell_graph, "gpu_resources", cache(cell_graph.gpu_resources.__wrapped__))
    vectors = many_copies(noise)
    found = [build_packed(vectors, tmp_path, gpu=gpu).tobytes() for gpu in (True, False)]
    assert found[0] == found[1]
    assert len(made) == 1
    assert len(tiles) > 5


def many_copies(noise):
    copies = clusters(1, seed=9).repeat(200, axis=0) + noise * np.random.default_rng(4).normal(size=(200, 32))
    return np.vstack([clusters(150), copies.astype(np.float16), clusters(150, seed=3)])


def test_threads_change_nothing(tmp_path):
    vectors, before, found = clusters(2000), faiss.omp_get_max_threads(), []
    for threads in (1, 2):
        faiss.omp_set_num_threads(threads)
        found.append(build(vectors, tmp_path, n_probes=8, threads=threads))
    faiss.omp_set_num_threads(before)
    assert (found[0][0] == found[1][0]).all()
    assert found[0][1].tobytes() == found[1][1].tobytes()


@pytest.mark.parametrize("n", [1, 3])
def test_fewer_rows_than_neighbours_make_a_narrower_graph(tmp_path, n):
    assert build(clusters(3)[:n], tmp_path)[0].shape == (n, n - 1)
