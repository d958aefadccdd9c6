"""The SQL of the catalog's views."""

import duckdb
import pyarrow as pa

from tasks.core.tables import column
from tasks.methods.catalog import rows_of, sql_type, table_view

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
