"""Alignment of tables, by hand."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.methods.alignment import codes, matrix, padded, places


def test_places_and_codes():
    assert places(pa.array(["b", "x", "a"]), pa.chunked_array([["a"], ["b", "a"]])).tolist() == [1, -1, 0]
    assert codes(["b", None, "z", "a"], ["a", "b"]).tolist() == [1, -1, -1, 0]


def test_lists_become_matrices():
    assert matrix(pa.array([[1.0, 2.0], None, [3.0, 4.0]])).tolist() == [[1, 2], [0, 0], [3, 4]]
    assert matrix(pa.array([None], pa.list_(pa.float32())), 3).tolist() == [[0, 0, 0]]
    assert padded(pa.chunked_array([[[1, 2]], [[3]]]), -1, np.int64).tolist() == [[1, 2], [3, -1]]
    with pytest.raises(ValueError, match="make them anew with one encoder"):
        matrix(pa.array([[1.0, 2.0], [3.0]]))
