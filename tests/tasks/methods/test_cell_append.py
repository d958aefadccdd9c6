"""Appending: the graph that grew is the graph that is built at once."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tasks.methods import cell_append
from tasks.methods.cell_append import append_to_cell_graph
from tasks.methods.cell_graph import build_cell_graph, unpack
from tasks.methods.cells import train_cells
from tests.tasks.methods.test_search import clusters


@pytest.mark.parametrize(("per_sqrt", "n_probes", "at_once"), [(1.0, 6, 20_000), (1.0, 6, 37), (10.0, 2, 20_000), (0.1, 1, 50)])
def test_new_rows_are_worked_in_both_ways(monkeypatch, tmp_path, per_sqrt, n_probes, at_once):
    monkeypatch.setattr(cell_append, "AT_ONCE", at_once)
    vectors = np.vstack([clusters(900), clusters(100, seed=3), clusters(900)[:20]])
    cells = train_cells(vectors, cells_per_sqrt=per_sqrt, points_per_cell=32, seed=0, n_rows=900)
    sizes = {"n_neighbors": 12, "n_probes": n_probes}
    build_cell_graph(vectors[:900], cells, tmp_path / "grown", **sizes)
    labels = train_labels(vectors, cells)
    grown = append_to_cell_graph(vectors, labels, tmp_path / "grown", n_old=900, threads=2, **sizes)
    whole = build_cell_graph(vectors, labels, tmp_path / "whole", **sizes)
    assert grown.shape == (1020, 12)
    assert (np.asarray(grown) == np.asarray(whole)).all()
    assert (np.asarray(grown)[:900] & np.uint64(2**32 - 1) >= 900).any()


@pytest.mark.parametrize("sizes", [{"OFFERS": 10, "TAKEN": 7}, {"ROWS": 9, "PAIRS": 50}, {"ROWS": 5, "CANDIDATES": 3}])
def test_no_size_of_a_part_changes_the_graph(monkeypatch, tmp_path, sizes):
    calls = counted(monkeypatch, "_take_in", "_offers", "_nearest")
    vectors = np.vstack([clusters(600), clusters(80, seed=3), clusters(600)[:20]])
    append_and_build(vectors, tmp_path / "usual", n_old=600, n_neighbors=4)
    usual = calls.copy()
    for name, size in sizes.items():
        monkeypatch.setattr(cell_append, name, size)
    grown, whole = append_and_build(vectors, tmp_path / "parts", n_old=600, n_neighbors=4)
    assert grown.tobytes() == whole.tobytes() == (tmp_path / "usual/grown").read_bytes()
    assert usual["_take_in"] == 1
    more = "_take_in" if "OFFERS" in sizes else "_offers"
    assert calls[more] - usual[more] > 2 * usual[more]


@pytest.mark.parametrize("sizes", [{}, {"ROWS": 7, "PAIRS": 200}, {"OFFERS": 10, "TAKEN": 7, "AT_ONCE": 33}])
@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_copies_beyond_all_candidates_tie_by_position(monkeypatch, tmp_path, sizes, noise):
    for name, size in sizes.items():
        monkeypatch.setattr(cell_append, name, size)
    drawn = np.random.default_rng(4)
    copies = (clusters(1).repeat(200, axis=0) + noise * drawn.normal(size=(200, 32))).astype(np.float16)
    vectors = np.vstack([clusters(500), copies, clusters(100, seed=3)])
    vectors = np.vstack([drawn.permutation(vectors[:600]), drawn.permutation(vectors[600:])])
    grown, whole = append_and_build(vectors, tmp_path, n_old=600, n_neighbors=10)
    assert grown.tobytes() == whole.tobytes()
    if noise == 0.0:
        equal = np.flatnonzero((vectors == clusters(1)).all(axis=1))
        assert len(equal) == 200
        assert (equal < 600).sum() == 100
        expected = [[other for other in equal[:11] if other != row][:10] for row in equal.tolist()]
        assert unpack(np.asarray(grown)[equal])[0].tolist() == expected


def test_memory_does_not_grow_with_the_copies_of_a_picture(monkeypatch, tmp_path):
    held, taken = [], []
    products, merged = cell_append.pair_products, cell_append.merged

    def pair_products(queries, tile, places):
        held.append(places.size)
        return products(queries, tile, places)

    def noted(best, more, k):
        taken.append(more.shape[1])
        return merged(best, more, k)

    for name, size in {"ROWS": 32, "PAIRS": 1024}.items():
        monkeypatch.setattr(cell_append, name, size)
    monkeypatch.setattr(cell_append, "pair_products", pair_products)
    monkeypatch.setattr(cell_append, "merged", noted)
    vectors = np.vstack([clusters(100), clusters(1).repeat(300, axis=0), clusters(100, seed=3), clusters(1).repeat(400, axis=0)])
    grown, whole = append_and_build(vectors, tmp_path, n_old=400, n_neighbors=5)
    assert grown.tobytes() == whole.tobytes()
    assert max(held) <= 1024
    assert sum(held) >= 300 * 400  # every copy met every other
    assert max(taken) <= 5


def append_and_build(vectors, folder, *, n_old, n_neighbors, n_probes=6):
    folder.mkdir(exist_ok=True)
    cells = train_cells(vectors, cells_per_sqrt=1.0, points_per_cell=32, seed=0, n_rows=n_old)
    sizes = {"n_neighbors": n_neighbors, "n_probes": n_probes}
    build_cell_graph(vectors[:n_old], cells, folder / "grown", **sizes)
    labels = train_labels(vectors, cells)
    grown = append_to_cell_graph(vectors, labels, folder / "grown", n_old=n_old, threads=2, **sizes)
    return grown, build_cell_graph(vectors, labels, folder / "whole", **sizes)


def counted(monkeypatch, *names):
    calls = Counter()

    def count(name, function):
        def called(*arguments):
            calls[name] += 1
            return function(*arguments)

        monkeypatch.setattr(cell_append, name, called)

    for name in names:
        count(name, getattr(cell_append, name))
    return calls


def train_labels(vectors, cells):
    cosines = vectors.astype(np.float32) @ cells.centroids.T
    return replace(cells, labels=cosines.argmax(axis=1).astype(np.int32))


def test_another_graph_is_refused(tmp_path):
    vectors = clusters(50)
    cells = train_cells(vectors, cells_per_sqrt=1.0, points_per_cell=32, seed=0)
    build_cell_graph(vectors[:40], replace(cells, labels=cells.labels[:40]), tmp_path / "graph", n_neighbors=5, n_probes=2)
    with pytest.raises(ValueError, match=r"graph is no graph of 30 rows with 5 neighbours each: build it anew"):
        append_to_cell_graph(vectors, cells, tmp_path / "graph", n_old=30, n_neighbors=5, n_probes=2)
