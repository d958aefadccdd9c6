"""Cells: what they are trained on, how they grow, and when they are trained anew."""

import numpy as np
import pytest

from tasks.methods.cells import Cells, assign, grow_cells, near_cells, read_cells, train_cells, write_cells
from tests.tasks.methods.test_search import clusters

OPTIONS = {"cells_per_sqrt": 1.0, "points_per_cell": 32, "max_growth": 4.0, "max_drift": 1.5, "seed": 0}


def test_every_row_is_in_the_cell_of_its_nearest_centroid():
    vectors = clusters(900)
    cells = train_cells(vectors, cells_per_sqrt=1.0, points_per_cell=32, seed=0)
    assert cells.centroids.shape == (30, 32)
    assert np.linalg.norm(cells.centroids, axis=1) == pytest.approx(1, abs=1e-5)
    cosines = (vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)) @ cells.centroids.T
    assert (cells.labels == cosines.argmax(axis=1)).all()
    assert (cells.trained, cells.closeness) == (900, pytest.approx(cosines.max(axis=1).mean(), abs=1e-5))
    order, begins = cells.order
    assert (np.diff(cells.labels[order]) >= 0).all()
    assert begins[-1] == 900
    assert set(cells.labels[order[begins[7] : begins[8]]].tolist()) == {7}


def test_a_further_crawl_goes_into_the_cells_there_are_whether_appended_or_not():
    vectors = clusters(1000)
    first = grow_cells(vectors[:600], [600], **OPTIONS)
    appended = grow_cells(vectors, [600, 1000], previous=first, **OPTIONS)
    anew = grow_cells(vectors, [600, 1000], **OPTIONS)
    assert (appended.centroids == first.centroids).all()
    assert (appended.centroids == anew.centroids).all()
    assert (appended.labels == anew.labels).all()
    assert (appended.trained, appended.closeness) == (anew.trained, anew.closeness) == (600, first.closeness)


def test_growth_trains_anew():
    vectors = clusters(1000)
    assert grow_cells(vectors, [300, 1000], **OPTIONS).trained == 300
    grown = grow_cells(vectors, [200, 1000], **OPTIONS)
    assert (grown.trained, len(grown.centroids)) == (1000, 32)


def test_drift_trains_anew():
    vectors = clusters(1000)
    moved = np.vstack([vectors, clusters(500, seed=9)])
    grown = grow_cells(moved, [1000, 1500], **OPTIONS)
    assert grown.trained == 1500
    assert (grown.labels == train_cells(moved, cells_per_sqrt=1.0, points_per_cell=32, seed=0).labels).all()
    assert grow_cells(moved, [1000, 1500], **{**OPTIONS, "max_drift": 100.0}).trained == 1000


def test_near_cells_begin_with_the_cell_itself():
    centroids = np.array([[1, 0], [1, 0], [0.8, 0.6], [0, 1]], np.float32)
    assert near_cells(centroids, 2)[:, 0].tolist() == [0, 1, 2, 3]
    assert near_cells(centroids, 2)[3].tolist() == [3, 2]
    assert near_cells(centroids, 2)[1].tolist() == [1, 0]
    assert near_cells(centroids, 9).shape == (4, 4)


def test_rows_of_a_range_are_assigned_alone():
    labels, cosines = assign(np.array([[1, 0], [0, 2], [0, -1]], np.float16), np.eye(2, dtype=np.float32), range(1, 3))
    assert labels.tolist() == [1, 0]
    assert cosines.tolist() == [1.0, 0.0]


def test_cells_survive_the_disk_for_their_own_recipe(tmp_path):
    cells = Cells(np.eye(2, dtype=np.float32), np.array([0, 1, 1], np.int32), 2, 0.75)
    write_cells(cells, tmp_path / "cells.npz", "a")
    held = read_cells(tmp_path / "cells.npz", "a")
    assert (held.centroids == cells.centroids).all()
    assert (held.labels.tolist(), held.trained, held.closeness) == ([0, 1, 1], 2, 0.75)
    assert read_cells(tmp_path / "cells.npz", "b") is None
    assert read_cells(tmp_path / "none.npz", "a") is None


def test_cells_of_other_crawls_are_refused():
    vectors = clusters(300)
    with pytest.raises(ValueError, match=r"cells of 100 rows are none of a crawl's end \[200, 300\]: cut all rows anew"):
        grow_cells(vectors, [200, 300], previous=grow_cells(vectors[:100], [100], **OPTIONS), **OPTIONS)
