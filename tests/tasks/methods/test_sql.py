"""Names and texts that become SQL."""

from pathlib import Path

import duckdb
import pytest

from tasks.methods.sql import connect, identifier, literal, open_catalog


@pytest.mark.parametrize("text", ["plain", "it's", "'; DROP TABLE x; --", 'say "no"', "back\\slash", "ünï\n"])
def test_literals_and_identifiers_come_back_as_they_were(text: str) -> None:
    with connect() as connection:
        found = connection.execute(f"SELECT {literal(text)} AS {identifier(text)}")
        assert found.description is not None
        assert (found.description[0][0], found.fetchall()) == (text, [(text,)])
    assert literal(None) == "NULL"


def test_a_path_with_quotes_opens(tmp_path: Path) -> None:
    top = tmp_path / 'it\'s, "here"'
    top.mkdir()
    with duckdb.connect(str(top / "sluice.duckdb")) as connection:
        connection.execute("CREATE VIEW one AS SELECT 1 AS x")
    with open_catalog(top / "sluice.duckdb", top, [Path("data")]) as catalog:
        assert catalog.execute("FROM one").fetchall() == [(1,)]


def test_what_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sluice.duckdb").write_text("not a database")
    with pytest.raises(duckdb.Error):
        open_catalog(tmp_path / "sluice.duckdb", tmp_path, [])
