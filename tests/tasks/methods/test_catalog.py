"""The SQL of the catalog's views."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.tables import column
from tasks.methods.catalog import live_view, rows_of, sql_type, table_view

SCHEMA = pa.schema([column("name", pa.string(), "It's a name"), column("values", pa.list_(pa.float32()), "Numbers")])


def test_no_files_give_no_rows_of_the_same_types() -> None:
    with duckdb.connect() as connection:
        found = connection.execute(rows_of(SCHEMA, []))
        assert [(name, str(kind)) for name, kind, *_ in found.description or []] == [("name", "VARCHAR"), ("values", "FLOAT[]")]
        assert found.fetchall() == []


def test_types_of_lists_nest() -> None:
    assert sql_type(pa.list_(pa.list_(pa.int64()))) == "BIGINT[][]"


def test_a_view_carries_its_sentences() -> None:
    with duckdb.connect() as connection:
        for statement in table_view("odd name", "One row's doc", SCHEMA, []).statements():
            connection.execute(statement)
        assert connection.execute("SELECT comment FROM duckdb_views() WHERE view_name = 'odd name'").fetchall() == [("One row's doc",)]
        comments = connection.execute("SELECT comment FROM duckdb_columns() WHERE table_name = 'odd name'").fetchall()
        assert comments == [("It's a name",), ("Numbers",)]


def test_a_live_view_follows_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pq.write_table(SCHEMA.empty_table(), "none.parquet")
    pq.write_table(pa.table([["a"], [[1.0]]], schema=SCHEMA), "one.parquet")
    with duckdb.connect() as connection:
        for statement in live_view("notes", "One row per note", SCHEMA, "none.parquet").statements():
            connection.execute(statement)
        assert connection.execute("FROM notes").fetchall() == []
        connection.execute("SET VARIABLE notes = ['one*.parquet']")
        assert connection.execute("FROM notes").fetchall() == [("a", [1.0])]
        connection.execute("RESET VARIABLE notes")
        connection.execute(f"SET VARIABLE root = '{tmp_path}/nowhere/'")
        with pytest.raises(duckdb.IOException, match=r"nowhere/none.parquet"):
            connection.execute("FROM notes")
