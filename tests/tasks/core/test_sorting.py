"""Sorted rows of tables that Arrow's narrow offsets can't count."""

import pyarrow as pa
import pytest

from tasks.core.sorting import narrow_type, sorted_rows

MEGABYTE = 1 << 20


def test_rows_are_sorted_by_the_key_in_narrow_chunks():
    lists = pa.large_list(pa.large_string())
    table = pa.table(
        {
            "crawl": pa.array(["a", "b", "a", "b", "a"]),
            "id": pa.chunked_array([["5", "4"], ["3", "2", "1"]], pa.large_string()),
            "names": pa.array([["x"], None, ["y", "z"], [], ["v"]], lists),
            "weight": pa.array([5.0, 4.0, 3.0, 2.0, 1.0], pa.float32()),
        }
    )
    found = sorted_rows(table, ["crawl", "id"], rows_per_chunk=2)
    assert found["id"].to_pylist() == ["1", "3", "5", "2", "4"]
    assert found["names"].to_pylist() == [["v"], ["y", "z"], ["x"], [], None]
    assert found.schema.types == [pa.string(), pa.string(), pa.list_(pa.string()), pa.float32()]
    assert [len(chunk) for chunk in found["id"].chunks] == [2, 2, 1]
    assert sorted_rows(table[:0], ["id"], rows_per_chunk=2).schema == found.schema


def test_only_offsets_are_narrowed():
    assert narrow_type(pa.large_list(pa.float32())) == pa.list_(pa.float32())
    assert narrow_type(pa.int64()) == pa.int64()


@pytest.mark.slow
def test_a_column_may_hold_more_than_two_gigabytes():
    texts = pa.array(["x" * MEGABYTE] * 1100)
    texts = pa.chunked_array([texts, texts])
    ids = [f"{row * 7 % 2200:04d}" for row in range(2200)]
    with pytest.raises(pa.ArrowInvalid, match="offset overflow"):
        sorted_rows(pa.table({"id": ids, "text": texts}), ["id"], rows_per_chunk=100)
    found = sorted_rows(pa.table({"id": ids, "text": texts.cast(pa.large_string())}), ["id"], rows_per_chunk=100)
    assert found["id"].to_pylist() == sorted(ids)
    assert found["text"].nbytes > 2**31
    assert found["text"].type == pa.string()
