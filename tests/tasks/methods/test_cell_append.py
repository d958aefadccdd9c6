"""Appending: the graph that grew is the graph that is built at once."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.methods import cell_append
from tasks.methods.cell_append import append_to_cell_graph
from tasks.methods.cell_graph import build_cell_graph
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


def train_labels(vectors, cells):
    cosines = vectors.astype(np.float32) @ cells.centroids.T
    return replace(cells, labels=cosines.argmax(axis=1).astype(np.int32))


def test_another_graph_is_refused(tmp_path):
    vectors = clusters(50)
    cells = train_cells(vectors, cells_per_sqrt=1.0, points_per_cell=32, seed=0)
    build_cell_graph(vectors[:40], replace(cells, labels=cells.labels[:40]), tmp_path / "graph", n_neighbors=5, n_probes=2)
    with pytest.raises(ValueError, match=r"graph is no graph of 30 rows with 5 neighbours each: build it anew"):
        append_to_cell_graph(vectors, cells, tmp_path / "graph", n_old=30, n_neighbors=5, n_probes=2)
