"""Which records belong to the index, and thumbnails that can't be read."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tasks.core.errors import ParamsError, ShardError
from tasks.core.stage import contract_of
from tasks.core.tables import Shard, Sink, Source
from tasks.deduplicate_rows import as_pictures, indexed_rows, read_clean
from tasks.methods.perceptual import SIDE
from tests.tasks.conftest import make_record


def column(values: list[object], kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


def test_a_sample_of_two_crawls_is_the_one_that_is_indexed_and_all_shards_share_one_look_up(tmp_path, monkeypatch):
    sizes, index_in = [], pc.index_in
    monkeypatch.setattr(pc, "index_in", lambda values, value_set: sizes.append(len(value_set)) or index_in(values, value_set=value_set))
    contract = contract_of("records")
    shards = {("old", "00000"): "xb", ("old", "00001"): "a", ("new", "00000"): "cbx", ("new", "00001"): ""}
    for (crawl, name), names in shards.items():
        rows = [make_record(number) | {"sample_id": sample, "crawl": crawl, "shard": name} for number, sample in enumerate(names)]
        Sink(contract, tmp_path, ["old", "new"]).write(Shard(crawl, name), pa.Table.from_pylist(rows, contract.schema))
    records = Source(contract, tmp_path, ["old", "new"])
    ids, crawls = column(["a", "b", "c"], pa.string()), column(["old", "old", "new"], pa.string())
    found = [(str(shard), at.tolist(), table.to_pydict()) for shard, at, table in indexed_rows(records, ids, crawls, ["sample_id"])]
    assert found == [
        ("old/00000", [1], {"sample_id": ["b"]}),
        ("old/00001", [0], {"sample_id": ["a"]}),
        ("new/00000", [2], {"sample_id": ["c"]}),
        ("new/00001", [], {"sample_id": []}),
    ]
    assert sizes.count(len(ids)) == 1


def test_a_thumbnail_of_another_size_is_named():
    whole = bytes(range(256)) * (SIDE * SIDE // 256)
    assert as_pictures(column([whole], pa.binary()), column(["a"], pa.string()), Shard("one", "00000"))[0, 0, 5] == 5
    with pytest.raises(ShardError, match=f"records of one/00000: sample a has no thumbnail of {SIDE} x {SIDE} bytes: ingest it again"):
        as_pictures(column([b"short"], pa.binary()), column(["a"], pa.string()), Shard("one", "00000"))


def test_a_clean_set_that_cannot_be_read(tmp_path):
    pq.write_table(pa.table({"picture": [b"x"]}), tmp_path / "broken.parquet")
    with pytest.raises(ParamsError, match=r"params.yaml: clean: .*broken.parquet has columns picture: a clean set needs image"):
        read_clean(tmp_path)
