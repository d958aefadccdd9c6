"""Positions, spans and widths of what the index is made of."""

import numpy as np
import pyarrow as pa
import pytest

from tasks import index_rows
from tasks.core.errors import ContractError
from tasks.core.tables import Shard
from tasks.index_rows import as_matrix, crawl_edges, shard_spans


def test_spans_end_with_their_crawl(monkeypatch):
    monkeypatch.setattr(index_rows, "ROWS_PER_SHARD", 2)
    rows = pa.table({"crawl": ["a", "a", "a", "b", "c"]})
    assert crawl_edges(rows) == [0, 3, 4, 5]
    spans = [(shard.crawl, shard.name, list(found)) for shard, found in shard_spans(rows)]
    assert spans == [("a", "00000", [0, 1]), ("a", "00001", [2]), ("b", "00000", [3]), ("c", "00000", [4])]


def test_lists_of_one_width_are_a_matrix_and_others_are_named():
    lists = pa.chunked_array([pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float16()))])
    assert as_matrix(lists, Shard("a", "00000")).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    mixed = pa.chunked_array([pa.array([[np.float16(1)], [np.float16(1), np.float16(2)]], pa.list_(pa.float16()))])
    with pytest.raises(ContractError, match=r"embeddings of a/00000 have several widths \[1, 2\]"):
        as_matrix(mixed, Shard("a", "00000"))
