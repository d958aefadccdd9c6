"""Which records belong to the index, and thumbnails that can't be read."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.errors import ParamsError, ShardError
from tasks.core.tables import Shard
from tasks.deduplicate_rows import as_pictures, locate, read_clean
from tasks.methods.perceptual import SIDE


def column(values: list[object], kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


def test_a_sample_of_two_crawls_is_the_one_that_is_indexed():
    ids, crawls = pa.array(["a", "b", "c"]), column(["old", "old", "new"], pa.string())
    places, here = locate(column(["c", "b", "x"], pa.string()), ids, crawls, "new")
    assert places.tolist() == [2]
    assert here.tolist() == [True, False, False]


def test_a_thumbnail_of_another_size_is_named():
    whole = bytes(range(256)) * (SIDE * SIDE // 256)
    assert as_pictures(column([whole], pa.binary()), column(["a"], pa.string()), Shard("one", "00000"))[0, 0, 5] == 5
    with pytest.raises(ShardError, match=f"records of one/00000: sample a has no thumbnail of {SIDE} x {SIDE} bytes: ingest it again"):
        as_pictures(column([b"short"], pa.binary()), column(["a"], pa.string()), Shard("one", "00000"))


def test_a_clean_set_that_cannot_be_read(tmp_path):
    pq.write_table(pa.table({"picture": [b"x"]}), tmp_path / "broken.parquet")
    with pytest.raises(ParamsError, match=r"params.yaml: clean: .*broken.parquet has columns picture: a clean set needs image"):
        read_clean(tmp_path)
