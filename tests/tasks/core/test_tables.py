from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.errors import ContractError, ShardError
from tasks.core.tables import ROW_GROUP, Contract, Shard, Sink, Source, column, to_json

TOY = Contract(
    name="toy",
    doc="One row per toy",
    key=("toy_id",),
    schema=pa.schema(
        [
            column("toy_id", pa.string(), "Name"),
            column("crawl", pa.string(), "Crawl"),
            column("weight", pa.float32(), "In kg", nullable=True),
        ]
    ),
)


def toys(*names: str, crawl: str = "a") -> pa.Table:
    columns = {"toy_id": list(names), "crawl": [crawl] * len(names), "weight": pa.array([1.0] * len(names), pa.float32())}
    return pa.table(columns, schema=pa.schema([("toy_id", pa.string()), ("crawl", pa.string()), ("weight", pa.float32())]))


def sink(root: Path, **more) -> Sink:
    return Sink(contract=TOY, root=root, crawls=["b", "a"], **more)


def source(root: Path, **more) -> Source:
    return Source(contract=TOY, root=root, crawls=["b", "a"], **more)


def test_round_trip_keeps_crawl_order_and_forgets_removed_crawls(tmp_path):
    sink(tmp_path).write(Shard("a", "00000"), toys("car"))
    sink(tmp_path).write(Shard("b", "00001"), toys("doll", crawl="b"))
    sink(tmp_path).write(Shard("gone", "00000"), toys("old", crawl="gone"))
    assert source(tmp_path).table()["toy_id"].to_pylist() == ["doll", "car"]
    assert [str(shard) for shard in source(tmp_path).shards()] == ["b/00001", "a/00000"]


def test_bound_table_lies_in_its_crawls_own_folder(tmp_path):
    sink(tmp_path, bound_crawl="a").write(Shard("a", "00000"), toys("car"))
    assert (tmp_path / "00000.parquet").is_file()
    assert source(tmp_path, bound_crawl="a").shards() == [Shard("a", "00000")]


def test_write_whole_partitions_by_crawl_and_sorts_by_key(tmp_path):
    table = pa.concat_tables([toys("z", "b"), toys("c", crawl="b")])
    sink(tmp_path, per_crawl=False).write_whole(table)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.parquet")) == [
        "crawl=a/00000.parquet",
        "crawl=b/00000.parquet",
    ]
    assert source(tmp_path, per_crawl=False).table()["toy_id"].to_pylist() == ["c", "b", "z"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (toys("car").drop_columns(["weight"]), "columns missing ['weight'], not in the contract []"),
        (toys("car").append_column("speed", [[1]]), "columns missing [], not in the contract ['speed']"),
        (toys("car").select(["crawl", "toy_id", "weight"]), "same names in another order"),
        (toys("car").set_column(2, "weight", [[1]]), "column 'weight' is int64, not float"),
        (toys("car", "car"), "1 keys repeat, such as {'toy_id': 'car'}"),
        (toys("car").set_column(0, "toy_id", pa.array([None], pa.string())), "1 nulls in 'toy_id'"),
    ],
)
def test_write_refuses_what_the_contract_does_not_say(tmp_path, table, message):
    with pytest.raises(ContractError) as caught:
        sink(tmp_path).write(Shard("a", "00000"), table)
    assert message in str(caught.value)
    assert not list(tmp_path.rglob("*.parquet"))


def test_write_whole_takes_wide_columns_and_no_key_twice(tmp_path):
    table = pa.concat_tables([toys("z", "b"), toys("c", crawl="b")])
    wide = table.cast(table.schema.set(0, pa.field("toy_id", pa.large_string())))
    sink(tmp_path / "narrow", per_crawl=False).write_whole(table)
    sink(tmp_path / "wide", per_crawl=False).write_whole(wide)
    for name in ("crawl=a", "crawl=b"):
        narrow, same = (tmp_path / kind / name / "00000.parquet" for kind in ("narrow", "wide"))
        assert narrow.read_bytes() == same.read_bytes()
    with pytest.raises(ContractError, match=r"2 keys repeat, such as \{'toy_id': 'b'\}"):
        sink(tmp_path / "twice", per_crawl=False).write_whole(pa.concat_tables([toys("z", "b", "c", "b", "b"), toys("z")]))
    assert not list((tmp_path / "twice" / "crawl=a").rglob("*.parquet"))


def test_folders_by_crawl_can_be_read_as_one_by_any_reader(tmp_path):
    sink(tmp_path, per_crawl=False).write_whole(pa.concat_tables([toys("z", "b"), toys("c", crawl="b")]))
    assert pd.read_parquet(tmp_path).groupby("crawl", observed=True).size().to_dict() == {"a": 2, "b": 1}
    assert pq.read_table(tmp_path).num_rows == 3
    assert source(tmp_path, per_crawl=False).table(["crawl"]).schema.field("crawl").type == pa.string()


def test_read_refuses_another_schema(tmp_path):
    (tmp_path / "a").mkdir()
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a" / "00000.parquet")
    with pytest.raises(ContractError, match="columns missing"):
        source(tmp_path).table(["toy_id"])


def test_a_torn_shard_is_an_error_that_says_what_to_do(tmp_path):
    sink(tmp_path).write(Shard("a", "00000"), toys("car"))
    path = tmp_path / "a" / "00000.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ShardError, match="run `dvc repro` again"):
        source(tmp_path).table()
    assert not sink(tmp_path).done(Shard("a", "00000"), "r")


def test_only_the_same_recipe_counts_as_done(tmp_path):
    shard = Shard("a", "00000")
    sink(tmp_path).write(shard, toys("car"), recipe="flour")
    assert sink(tmp_path).done(shard, "flour")
    assert not sink(tmp_path).done(shard, "sand")
    assert not sink(tmp_path).done(Shard("a", "00001"), "flour")


def test_keep_only_deletes_stale_shards_and_torn_files(tmp_path):
    for name in ("00000", "00001"):
        sink(tmp_path).write(Shard("a", name), toys("car"))
    (tmp_path / "a" / ".00002.parquet.77.tmp").write_bytes(b"half")
    sink(tmp_path).keep_only([Shard("a", "00000")])
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["00000.parquet"]


def test_equal_rows_give_equal_bytes_in_row_groups_for_sql(tmp_path):
    for folder in ("x", "y"):
        sink(tmp_path / folder).write(Shard("a", "00000"), toys("car", "doll"))
    first, second = ((tmp_path / folder / "a" / "00000.parquet").read_bytes() for folder in ("x", "y"))
    assert first == second
    assert ROW_GROUP == 122_880


def test_column_comments_travel_in_the_file(tmp_path):
    sink(tmp_path).write(Shard("a", "00000"), toys("car"))
    assert pq.read_schema(tmp_path / "a" / "00000.parquet").field("weight").metadata[b"comment"] == b"In kg"


def test_json_is_sorted_and_ends_with_a_newline():
    assert to_json({"b": 1, "a": "é"}) == '{\n  "a": "é",\n  "b": 1\n}\n'
