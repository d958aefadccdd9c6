"""The SQL of the catalog's views over counts, on a table of a few rows; tests/tasks/test_catalog.py asks them over real files."""

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest

from tasks.core.tables import column
from tasks.methods.catalog_views import concepts_view, crawls_view, funnel_view, macros, neighbors_view, stored_tallies, tallies_view

ROWS = [
    ("a", "ok", "x", "cat", "cat", [], "right", "cat"),
    ("b", "ok", "y", "cat", "dog", [], "wrong_concept", "dog"),
    ("b", "ok", "y", "cat", None, ["duplicate", "label_noise"], "off_topic", "dog"),
    ("b", "failed", "z", "cat", None, ["timeout"], None, None),
]
NAMES = pa.schema([column("name", pa.string(), "Name of the concept")])


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute(
            """CREATE TABLE samples (crawl TEXT, status TEXT, image_id TEXT, concept TEXT, curated_concept TEXT, reasons TEXT[],
            verdict TEXT, suggested_concept TEXT)"""
        )
        opened.executemany("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?)", ROWS)
        opened.execute("CREATE SCHEMA tallied")
        entries = [*stored_tallies(), tallies_view(["timeout", "duplicate", "label_noise"]), crawls_view(["b", "a", "late"])]
        for entry in [*entries, funnel_view(["b", "a", "late"]), concepts_view(NAMES, []), *macros()]:
            for statement in entry.statements():
                opened.execute(statement)
        yield opened


def test_counts_follow_arrival_and_the_funnels_order(connection: duckdb.DuckDBPyConnection) -> None:
    assert connection.execute("FROM crawls").fetchall() == [
        ("b", 1, 3, 2, 2, 1, pytest.approx(1 / 3)),
        ("a", 2, 1, 1, 1, 1, 1.0),
        ("late", 3, 0, 0, 0, 0, 0.0),
    ]
    assert connection.execute("FROM funnel('b')").fetchall() == [(1, "timeout", 1, 2), (2, "duplicate", 1, 1), (4, "kept", 1, 1)]
    assert connection.execute("FROM concepts").fetchall() == []
    assert connection.execute("FROM cooccur()").fetchall() == [("duplicate", "label_noise", 1, 1.0)]
    assert {row[1]: row[2] for row in connection.execute("FROM noise_matrix()").fetchall()} == {"cat": 1, "dog": 1, "(off_topic)": 1}


def test_neighbours_carry_ids_for_positions(connection: duckdb.DuckDBPyConnection) -> None:
    schema = pa.schema(
        [
            column("position", pa.int64(), "Place"),
            column("sample_id", pa.string(), "Id"),
            column("crawl", pa.string(), "Crawl"),
            column("neighbors", pa.list_(pa.int64()), "Places"),
            column("similarities", pa.list_(pa.float32()), "Cosines"),
        ]
    )
    for statement in neighbors_view(schema, []).statements():
        connection.execute(statement)
    assert connection.execute("FROM neighbors").fetchall() == []
