"""Alignment of tables, by hand."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tasks.methods.alignment import codes, matrix, padded, places, wide, wide_rows


def test_places_and_codes():
    assert places(pa.array(["b", "x", "a"]), pa.chunked_array([["a"], ["b", "a"]])).tolist() == [1, -1, 0]
    assert codes(["b", None, "z", "a"], ["a", "b"]).tolist() == [1, -1, -1, 0]


def test_lists_become_matrices():
    assert matrix(pa.array([[1.0, 2.0], None, [3.0, 4.0]])).tolist() == [[1, 2], [0, 0], [3, 4]]
    assert matrix(pa.array([None], pa.list_(pa.float32())), 3).tolist() == [[0, 0, 0]]
    assert padded(pa.chunked_array([[[1, 2]], [[3]]]), -1, np.int64).tolist() == [[1, 2], [3, -1]]
    with pytest.raises(ValueError, match="make them anew with one encoder"):
        matrix(pa.array([[1.0, 2.0], [3.0]]))


def test_ids_are_looked_up_with_wide_offsets(monkeypatch):
    kinds, index_in = [], pc.index_in
    monkeypatch.setattr(
        pc, "index_in", lambda values, value_set: kinds.extend([values.type, value_set.type]) or index_in(values, value_set)
    )
    assert places(pa.array(["b", "x"]), pa.chunked_array([["a"], ["b"]])).tolist() == [1, -1]
    assert places(pa.array(["b"]), pa.array(["b"], pa.large_string())).tolist() == [0]
    assert set(kinds) == {pa.large_string()}


def test_wide_values_are_the_same_ones():
    lists = pa.chunked_array([[["a", "b"], None], [[]]], pa.list_(pa.string()))
    assert wide(lists).type == pa.large_list(pa.large_string())
    assert wide(wide(lists)).to_pylist() == lists.to_pylist()
    assert wide(pa.array([1, None], pa.int8())).type == pa.int8()


def test_rows_of_a_table_with_narrow_and_wide_types_are_equal():
    table = pa.table({"id": ["a", "b"], "names": pa.array([["x"], None], pa.list_(pa.string())), "weight": [1.0, 2.0]})
    assert wide_rows(table).schema.types == [pa.large_string(), pa.large_list(pa.large_string()), pa.float64()]
    assert wide_rows(table).to_pylist() == table.to_pylist()
