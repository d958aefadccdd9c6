"""Positions, spans and widths of what the index is made of."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tasks import index_rows
from tasks.core.errors import ContractError
from tasks.core.stage import contract_of
from tasks.core.tables import Shard, Sink, Source
from tasks.index_rows import as_matrix, crawl_edges, distinct_rows, gather_vectors, shard_spans

EMBEDDED = {  # crawl, shard -> sample_id -> the number that its embedding repeats
    ("new", "00000"): {"d": 1, "b": 2}, ("new", "00001"): {"a": 3}, ("new", "00002"): {},
    ("old", "00000"): {"b": 4, "c": 5}, ("old", "00001"): {"e": 6, "a": 7},
}  # fmt: skip


@pytest.fixture
def embeddings(tmp_path):
    contract, crawls = contract_of("embeddings"), ["new", "old"]
    for (crawl, name), numbers in EMBEDDED.items():
        columns = {"sample_id": list(numbers), "crawl": [crawl] * len(numbers), "image_embedding": [[v, v] for v in numbers.values()]}
        table = pa.table({**columns, "text_embedding": pa.nulls(len(numbers), pa.list_(pa.float16()))}, schema=contract.schema)
        Sink(contract, tmp_path, crawls).write(Shard(crawl, name), table)
    return Source(contract, tmp_path, crawls)


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


def test_all_shards_share_one_look_up(embeddings, tmp_path, monkeypatch):
    rows, sizes, index_in = distinct_rows(embeddings), [], pc.index_in
    monkeypatch.setattr(pc, "index_in", lambda values, value_set: sizes.append(len(value_set)) or index_in(values, value_set=value_set))
    vectors = gather_vectors(embeddings, rows, tmp_path / "vectors.npy")
    assert rows["sample_id"].to_pylist() == ["a", "b", "d", "c", "e"]
    assert vectors[:, 1].tolist() == [3, 2, 1, 5, 6]  # of a and b the first crawl's
    assert sizes.count(rows.num_rows) == 1


def test_ids_are_put_together_with_wide_offsets_and_cut_with_narrow_ones(embeddings, monkeypatch):
    monkeypatch.setattr(index_rows, "ROWS_PER_SHARD", 2)
    kinds, unique, is_in = [], pc.unique, pc.is_in
    monkeypatch.setattr(pc, "unique", lambda values: kinds.append(values.type) or unique(values))
    monkeypatch.setattr(pc, "is_in", lambda values, value_set: kinds.extend([values.type, value_set.type]) or is_in(values, value_set))
    ids = distinct_rows(embeddings)["sample_id"]
    assert set(kinds) == {pa.large_string()}
    assert ids.type == pa.string()
    assert [chunk.to_pylist() for chunk in ids.chunks] == [["a", "b"], ["d"], ["c", "e"]]
