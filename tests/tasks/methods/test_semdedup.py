"""SemDeDup: the published rule on a worked example, copies by the hundred, tiles."""

import numpy as np
import pytest

from tasks.methods import semdedup
from tasks.methods.cells import Cells, train_cells
from tests.tasks.methods.test_search import clusters


def test_the_worked_example_removes_items_1_and_3():
    members = np.array([[1, 0], [0.999, 0.0447], [0, 1], [0.02, 0.9998], [0.7071, 0.7071]], np.float32)
    before, similarity = semdedup.nearest_before(members)
    assert before[[1, 3]].tolist() == [0, 2]
    assert np.flatnonzero(similarity > 1 - 0.05).tolist() == [1, 3]
    assert (before[0], similarity[0]) == (-1, -1)
    assert similarity[4] == pytest.approx(0.738, abs=0.001)


@pytest.mark.parametrize("rows", [1024, 7, 1])
def test_any_tile_gives_the_nearest_before(monkeypatch, rows):
    monkeypatch.setattr(semdedup, "ROWS", rows)
    members = clusters(50).astype(np.float32)
    before, similarity = semdedup.nearest_before(members)
    for place in range(1, 50):
        assert before[place] == (members[place] @ members[:place].T).argmax()
        assert similarity[place] == pytest.approx((members[place] @ members[:place].T).max(), abs=1e-6)


def test_rows_pair_within_their_cell_and_the_furthest_from_the_centroid_stands_first():
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [1, 0.05]], np.float16)
    cells = Cells(np.eye(2, dtype=np.float32), np.array([0, 0, 1, 0], np.int32), 4, 1.0)
    pairs, similarities = semdedup.cell_pairs(vectors, cells, min_similarity=0.9)
    assert pairs.tolist() == [[1, 3], [3, 0]]
    assert similarities == pytest.approx([0.998, 0.9988], abs=0.001)
    assert semdedup.cell_pairs(vectors, cells, min_similarity=0.9985)[0].tolist() == [[3, 0]]


def test_a_picture_copied_a_hundred_times_holds_together():
    vectors = np.vstack([np.repeat(clusters(1), 100, axis=0), clusters(300)])
    pairs, _ = semdedup.cell_pairs(vectors, train_cells(vectors, cells_per_sqrt=1.0, points_per_cell=64, seed=0), min_similarity=0.999)
    assert len(pairs[(pairs < 100).all(axis=1)]) == 99
    assert semdedup.cell_pairs(vectors[:0], Cells(np.eye(1, 32, dtype=np.float32), np.zeros(0, np.int32), 0, 1.0), min_similarity=0)[
        0
    ].shape == (0, 2)
