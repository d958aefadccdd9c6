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


def test_live_tables_are_read_as_they_are_now_or_not_at_all(tmp_path: Path) -> None:
    top = tmp_path / "it's [not] a *"
    (top / "live" / "a").mkdir(parents=True)
    with duckdb.connect(str(top / "sluice.duckdb")) as connection:
        connection.execute("CREATE TABLE none AS SELECT 1")
    with open_catalog(top / "sluice.duckdb", top, [], live={"notes": Path("live")}) as catalog:
        assert catalog.execute("SELECT getvariable('notes')").fetchall() == [(None,)]
    duckdb.execute(f"COPY (SELECT 1 AS x) TO {literal(str(top / 'live/a/one.parquet'))}")
    with open_catalog(top / "sluice.duckdb", top, [], live={"notes": Path("live")}) as catalog:
        assert catalog.execute("FROM read_parquet(getvariable('notes'))").fetchall() == [(1,)]
        duckdb.execute(f"COPY (SELECT 2 AS x) TO {literal(str(top / 'live/a/two.parquet'))}")
        assert catalog.execute("SELECT sum(x) FROM read_parquet(getvariable('notes'))").fetchall() == [(3,)]


def test_links_lead_to_dvcs_objects_and_nowhere_else(tmp_path: Path) -> None:
    top, cache = tmp_path / "top", tmp_path / "cache/files/md5/ab"
    (top / "data").mkdir(parents=True)
    cache.mkdir(parents=True)
    for file, link in ((cache / ("0" * 30), "object"), (tmp_path / "secret", "secret"), (cache / ("2" * 30), None)):
        duckdb.execute(f"COPY (SELECT 1 AS x) TO {literal(str(file))} (FORMAT parquet)")
        if link:
            (top / "data" / link).symlink_to(file)
    with duckdb.connect(str(cache / ("1" * 30))) as connection:
        connection.execute("CREATE VIEW one AS SELECT getvariable('root') AS root")
    (top / "sluice.duckdb").symlink_to(cache / ("1" * 30))
    with open_catalog(top / "sluice.duckdb", top, [Path("data")]) as catalog:
        assert catalog.execute("FROM one").fetchall() == [(f"{top}/",)]
        assert catalog.execute(f"FROM read_parquet({literal(str(top / 'data/object'))})").fetchall() == [(1,)]
        for path in (top / "data/secret", tmp_path / "secret", cache / ("2" * 30)):
            with pytest.raises(duckdb.PermissionException):
                catalog.execute(f"FROM read_blob({literal(str(path))})")


def test_what_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sluice.duckdb").write_text("not a database")
    with pytest.raises(duckdb.Error):
        open_catalog(tmp_path / "sluice.duckdb", tmp_path, [])
