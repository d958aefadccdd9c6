"""Search: what a search finds in every kind of index, indexes that grow and shrink, the rule that chooses one."""

import ast

import faiss
import numpy as np
import pytest

from tasks.methods import search
from tasks.methods.cells import Cells, grow_cells
from tasks.methods.index_files import read_index, write_index
from tasks.methods.knn import graph_recall

KINDS = ["exact", "hnsw", "ivf", "ivf_pq"]


def clusters(n: int = 3000, d: int = 32, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(40, d))[rng.integers(0, 40, n)] + 0.6 * rng.normal(size=(n, d))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


@pytest.mark.parametrize(("kind", "least"), [("exact", 1.0), ("hnsw", 0.95), ("ivf", 0.97), ("ivf_pq", 0.5)])
def test_every_kind_finds_most_neighbours(kind, least):
    vectors, rows = clusters(), np.arange(0, 3000, 15)
    index = search.build_index(vectors, kind=kind, seed=1)
    assert search.kind_of(index) == kind
    found = search.others_found(index, vectors, rows, k=10, n_probes=60)
    assert found.shape == (200, 10)
    assert (found != rows[:, None]).all()
    assert graph_recall(vectors, rows, found) >= least


def test_search_finds_the_rows_themselves():
    vectors = clusters(300)
    positions, similarities = search.search(search.build_index(vectors), vectors[:20], k=3)
    assert positions[:, 0].tolist() == list(range(20))
    assert np.abs(similarities[:, 0] - 1).max() < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_that_grew_is_the_one_built_at_once(kind, tmp_path):
    vectors = clusters(1500)
    options = {"cells_per_sqrt": 1.0, "points_per_cell": 64, "max_growth": 4.0, "max_drift": 9.0, "seed": 0}
    first = grow_cells(vectors[:1000], [1000], **options)
    both = grow_cells(vectors, [1000, 1500], previous=first, **options)
    path = tmp_path / "image.index"
    write_index(search.build_index(vectors[:1000], kind=kind, cells=first), path)
    grown = read_index(path)
    search.append_rows(grown, vectors, cells=both)
    whole = search.build_index(vectors, kind=kind, cells=both, ends=[1000, 1500])
    assert grown.ntotal == whole.ntotal == 1500
    assert faiss.serialize_index(grown).tobytes() == faiss.serialize_index(whole).tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_threads_change_nothing(kind):
    vectors, found = clusters(1000), []
    before = faiss.omp_get_max_threads()
    for threads in (1, 2):
        faiss.omp_set_num_threads(threads)
        found.append(faiss.serialize_index(search.build_index(vectors, kind=kind, seed=3)).tobytes())
        assert faiss.omp_get_max_threads() == threads
    faiss.omp_set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", KINDS)
def test_removed_rows_leave_and_later_ones_move_up(kind: str) -> None:
    vectors = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float16)
    gone = np.array([0, 7, 398, 399])
    left = np.delete(vectors, gone, axis=0)
    index = search.remove_rows(search.build_index(vectors, kind=kind, lists_per_sqrt=1.0, points_per_list=64), gone, left)
    assert index.ntotal == len(left)
    found, _ = search.search(index, left, k=1, n_probes=1000)
    assert (found[:, 0] == np.arange(len(left))).mean() > 0.95  # product-quantised codes may tie


def test_a_choice_of_index_follows_size_and_memory():
    def chosen(n: int, memory_gb: float = 8.0) -> str:
        return search.choose_index(n, 512, max_exact=200_000, max_hnsw=300_000, memory_gb=memory_gb)

    sizes = (200_000, 200_001, 300_000, 300_001, 4_000_000, 5_000_000)
    assert [chosen(n) for n in sizes] == ["exact", "hnsw", "hnsw", "ivf", "ivf", "ivf_pq"]
    # 200,000 vectors: 0.38 GB as float32, 0.24 with links, 0.19 in lists, 0.025 as codes; half of the memory has to hold them.
    assert [chosen(200_000, gb) for gb in (0.77, 0.75, 0.46, 0.3)] == ["exact", "hnsw", "ivf", "ivf_pq"]
    with pytest.raises(
        ValueError, match=r"200000 vectors of 512 numbers need 0\.0253 GB even product-quantised, over half of memory_gb 0\.05"
    ):
        chosen(200_000, 0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_the_memory_stated_is_that_of_the_index(kind):
    sizes = [len(faiss.serialize_index(search.build_index(clusters(n, d=64), kind=kind, cells=one_cell(n, 64)))) for n in (500, 1500)]
    assert (sizes[1] - sizes[0]) / search.index_bytes(kind, 1000, 64) == pytest.approx(1, abs=0.15)


def one_cell(n: int, d: int) -> Cells:
    return Cells(np.eye(1, d, dtype=np.float32), np.zeros(n, np.int32), n, 1.0)


def test_faiss_has_few_doors(repo):
    doors = {
        path.stem
        for path in (repo / "tasks").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import) and any(name.name == "faiss" for name in node.names)
    }
    assert doors == {"search", "index_files", "cells", "knn", "cell_graph"}


def test_messages_name_the_value():
    with pytest.raises(ValueError, match=r"index kind 'tree' is unknown: use one of exact, hnsw, ivf, ivf_pq"):
        search.build_index(clusters(10), kind="tree")
    with pytest.raises(ValueError, match=r"needs a width that 4 divides, not 30"):
        search.build_index(clusters(10, d=30), kind="ivf_pq")
    with pytest.raises(ValueError, match=r"queries of width 16 for an index of width 32"):
        search.search(search.build_index(clusters(10)), clusters(2, d=16), k=1)
