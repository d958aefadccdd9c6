"""Vectors: exact cosines, order, and pages of a mapped file."""

import numpy as np
import pytest

from tasks.methods.vectors import best_first, lengths, pair_similarities, release, rescored, shape_of, unit, widened


def test_pairs_have_their_cosine():
    vectors = np.array([[2, 0], [0, 1], [1, 1]], np.float16)
    assert np.allclose(pair_similarities(vectors, np.array([[0, 1], [0, 2], [1, 1]])), [0, 0.5**0.5, 1])


def test_unit_rows_have_length_one_and_zeros_stay():
    rows = np.array([[3, 4], [0, 0]], np.float16)
    assert np.allclose(unit(rows), [[0.6, 0.8], [0, 0]])
    assert unit(rows).dtype == np.float32
    assert (unit(np.array([[0.1, 0.3]], np.float32)) == unit(np.array([[0.1, 0.3]], np.float16))).all()
    assert lengths(rows).tolist() == [5.0, 1e-12]


def test_candidates_are_ordered_by_cosine_then_position_without_the_row_itself():
    vectors = np.array([[1, 0], [2, 0], [0, 1], [1, 1], [1, 0]], np.float16)
    found, scores = rescored(vectors, lengths(vectors), np.array([0]), np.array([[4, 3, 0, 1, -1]]), 4)
    assert found[0, :3].tolist() == [1, 4, 3]
    assert scores[0, :3] == pytest.approx([1, 1, 0.5**0.5])
    assert scores[0, 3] == -np.inf
    assert best_first(np.array([[3, 1, 2]]), np.array([[0.5, 0.5, 0.9]]), 2)[0].tolist() == [[2, 1]]


def test_a_mapped_file_keeps_what_was_written_when_its_pages_go(tmp_path):
    mapped = np.lib.format.open_memmap(tmp_path / "vectors.npy", mode="w+", dtype=np.float16, shape=(5000, 8))
    mapped[:] = 3
    release(mapped)
    release(np.zeros(3))
    assert (mapped == 3).all()
    assert (np.load(tmp_path / "vectors.npy") == 3).all()


def test_other_shapes_and_types_are_named():
    with pytest.raises(ValueError, match=r"vectors must be \(n, d\) float16 or float32, not \(3,\) float64"):
        shape_of(np.zeros(3))


def test_every_finite_float16_is_widened_to_its_own_value():
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)].reshape(-1, 8)
    room = np.full(halves.shape, np.nan, np.float32)
    assert (widened(halves).view(np.uint32) == halves.astype(np.float32).view(np.uint32)).all()
    assert widened(halves, out=room) is room
    assert (room == halves.astype(np.float32)).all()


def test_unit_rows_go_where_they_should():
    rows = np.array([[3, 4], [0, 0]], np.float16)
    room = np.empty((2, 2), np.float32)
    assert unit(rows, out=room) is room
    assert room.tolist() == unit(rows).tolist() == [[np.float32(0.6), np.float32(0.8)], [0, 0]]
