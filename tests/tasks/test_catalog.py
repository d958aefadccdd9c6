"""The catalog: its views, their comments, and the door that lets SQL read the dataset and nothing else."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tasks.catalog import catalog
from tasks.contracts.curated import CONTRACT as CURATED
from tasks.contracts.drift import CONTRACT as DRIFT
from tasks.contracts.fetches import CONTRACT as FETCHES
from tasks.contracts.neighbors import CONTRACT as NEIGHBORS
from tasks.contracts.pairs import CONTRACT as PAIRS
from tasks.contracts.predictions import CONTRACT as PREDICTIONS
from tasks.contracts.proposals import CONTRACT as PROPOSALS
from tasks.contracts.reviews import CONTRACT as REVIEWS
from tasks.core.lineage import record_run
from tasks.core.settings import Settings
from tasks.core.tables import Artifact, Contract, Source
from tasks.dataset import catalog_of
from tasks.methods.reasons import Reason
from tasks.methods.sql import Catalog, open_catalog
from tests.tasks.conftest import digest, make_project, make_record, write_table

FOLDERS = [Path("data") / name for name in ("curated", "pairs", "neighbors", "predictions", "drift", "proposals", "catalog")]
CRAWLS = ["alpha", "beta"]
STEPS = {name: step for step, name in enumerate([*Reason, "kept"], start=1)}


def make_sample(number: int, **changes: Any) -> dict[str, Any]:
    """A kept sample out of a record; nothing else in it is looked at here."""
    record = make_record(number)
    names = [name for name in CURATED.schema.names if name in record]
    sample = dict.fromkeys(CURATED.schema.names) | {name: record[name] for name in names}
    sample |= {"keep": True, "reasons": [], "curated_concept": "cat", "weight": 1.0}
    reason = changes.get("reason")
    if reason:
        sample |= {"keep": False, "reasons": [reason], "curated_concept": None, "weight": 0.0}
    return sample | changes


SAMPLES = [
    make_sample(0, verdict="right", suggested_concept="cat"),
    make_sample(1, curated_concept="dog", verdict="wrong_concept", suggested_concept="dog"),
    make_sample(2, reason="duplicate", reasons=["duplicate", "label_noise"], verdict="off_topic", suggested_concept="cat"),
    make_sample(3, reason="timeout", status="failed", detail="timeout"),
    make_sample(4, reason="label_noise"),
    make_sample(5, reason="duplicate"),
    make_sample(6, crawl="beta", reason="unreachable", status="failed", detail="dns"),
]


def ids(*numbers: int) -> list[str]:
    return [make_record(number)["sample_id"] for number in numbers]


def build() -> dict[str, Any]:
    """Tables of two crawls, two recorded runs, and the catalog over them."""
    write_table(CURATED, Path("data/curated"), SAMPLES, per_crawl=False)
    first, second, third = ids(0, 1, 2)
    pair = {"sample_id": third, "other_id": first, "crawl": "alpha", "evidence": "exact", "similarity": 1.0}
    write_table(PAIRS, Path("data/pairs"), [pair], per_crawl=False)
    graph = [
        {"position": 0, "sample_id": first, "crawl": "alpha", "neighbors": [2, 1], "similarities": [1.0, 0.5]},
        {"position": 1, "sample_id": second, "crawl": "alpha", "neighbors": [0], "similarities": [0.5]},
        {"position": 2, "sample_id": third, "crawl": "alpha", "neighbors": [], "similarities": []},
    ]
    write_table(NEIGHBORS, Path("data/neighbors"), graph, per_crawl=False)
    with record_run("embed", "alpha", Settings()) as run:
        run["metrics"] = {"rows": 7}
    return rebuild()


def rebuild() -> dict[str, Any]:
    def source(contract: Contract, folder: str) -> Source:
        return Source(contract, Path("data") / folder, CRAWLS, per_crawl=False)

    return catalog(
        source(CURATED, "curated"),
        source(PAIRS, "pairs"),
        source(NEIGHBORS, "neighbors"),
        source(PREDICTIONS, "predictions"),
        source(DRIFT, "drift"),
        source(PROPOSALS, "proposals"),
        Artifact(Path("data/concepts")),
        Artifact(Path("data/catalog")),
        CRAWLS,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Path:
    """A project with a catalog, for all tests that only read it."""
    top = make_project(tmp_path_factory.mktemp("catalog") / "project", repo)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        build()
    return top


@pytest.fixture
def door(built: Path) -> Iterator[Catalog]:
    with open_catalog(built / "data/catalog/sluice.duckdb", built, FOLDERS) as opened:
        yield opened


def test_views_answer(door: Catalog) -> None:
    first, second, third = ids(0, 1, 2)
    assert door.execute("SELECT * FROM crawls").fetchall() == [
        ("alpha", 1, 6, 6, 5, 2, pytest.approx(1 / 3)),
        ("beta", 2, 1, 1, 0, 0, 0.0),
    ]
    assert door.execute("SELECT * FROM funnel").fetchall() == [
        ("alpha", STEPS["timeout"], "timeout", 1, 5),
        ("alpha", STEPS["duplicate"], "duplicate", 2, 3),
        ("alpha", STEPS["label_noise"], "label_noise", 1, 2),
        ("alpha", STEPS["kept"], "kept", 2, 2),
        ("beta", STEPS["unreachable"], "unreachable", 1, 0),
    ]
    concepts = door.execute("SELECT name, definition, n_rows, n_kept, n_moved_in, n_moved_out FROM concepts").fetchall()
    assert concepts == [("cat", "a small domestic feline", 7, 1, 0, 1), ("dog", "a domestic canine", 0, 1, 1, 0)]
    assert sorted(door.execute("SELECT sample_id, rank, neighbor_id, similarity FROM neighbors").fetchall()) == sorted(
        [(first, 1, third, 1.0), (first, 2, second, 0.5), (second, 1, first, 0.5)]
    )
    assert door.execute("SELECT other_id FROM pairs WHERE sample_id = ?", [third]).fetchall() == [(first,)]
    assert door.execute("SELECT stage, item, status, metrics FROM runs").fetchall() == [("embed", "alpha", "completed", '{"rows": 7}')]
    assert door.execute("SELECT count(*) FROM samples WHERE keep").fetchall() == [(2,)]
    assert door.execute("DESCRIBE predictions").fetchall()[2][:2] == ("arm", "VARCHAR")
    assert door.execute("SELECT * FROM predictions").fetchall() == []


def test_metrics_count_rows_alone(project: Path) -> None:
    expected = {"n_views": 13, "n_samples": 7, "n_pairs": 1, "n_predictions": 0, "n_concepts": 2}
    assert build() == expected


def test_every_view_and_column_has_a_comment(door: Catalog) -> None:
    assert len(door.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment <> ''").fetchall()) == 13
    bare = "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'sluice' AND coalesce(comment, '') = ''"
    assert door.execute(bare).fetchall() == []


def test_a_graph_without_rows_has_empty_views(project: Path) -> None:
    rebuild()
    with open_catalog(project / "data/catalog/sluice.duckdb", project, FOLDERS) as door:
        for view in ("samples", "funnel", "pairs", "neighbors", "predictions", "runs", "fetches", "reviews"):
            assert door.execute(f"SELECT * FROM {view}").fetchall() == []
        assert [row[2] for row in door.execute("SELECT * FROM crawls").fetchall()] == [0, 0]


def fetch_of(number: int) -> dict[str, Any]:
    """How the image of a record was fetched."""
    row = dict.fromkeys(FETCHES.schema.names) | {"image_id": make_record(number)["image_id"], "crawl": "alpha", "shard": "00000"}
    return row | {"source": "fetched", "fetched_at": datetime(2026, 1, 2, tzinfo=UTC), "seconds": 0.5, "attempts": 2, "http_status": 200}


def test_fetches_and_reviews_are_those_of_the_moment_it_is_opened(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build()
    before = Path("data/catalog/sluice.duckdb").read_bytes()
    beside = {path.name: path.read_bytes() for path in Path("data/catalog").glob("[fr]e*.parquet")}
    write_table(FETCHES, Path(".sluice/fetches"), [fetch_of(0), fetch_of(3)])
    said = {"sample_id": ids(0)[0], "sha256": "0" * 64, "verdict": "confirmed", "concept": "cat", "reviewer": "ann"}
    write_table(REVIEWS, Path("data/reviews"), [said | {"reviewed_at": datetime(2026, 1, 3)}])
    assert Path("data/catalog/sluice.duckdb").read_bytes() == before
    monkeypatch.chdir(tmp_path)
    with catalog_of(project) as door:
        assert door.execute("SELECT image_id, attempts FROM fetches ORDER BY image_id").fetchall() == [
            (image, 2) for image in sorted(make_record(number)["image_id"] for number in (0, 3))
        ]
        assert door.execute("SELECT sample_id, verdict, reviewer FROM reviews").fetchall() == [(ids(0)[0], "confirmed", "ann")]
        with pytest.raises(duckdb.PermissionException):
            door.execute(f"SELECT * FROM read_text('{project}/params.yaml')")
    monkeypatch.chdir(project)
    rebuild()
    assert {path.name: path.read_bytes() for path in Path("data/catalog").glob("[fr]e*.parquet")} == beside
    monkeypatch.chdir("data/catalog")
    with duckdb.connect("sluice.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM fetches").fetchall() == [(0,)]
        connection.execute("SET VARIABLE fetches = ['../../.sluice/fetches/**/*.parquet']")
        assert connection.execute("SELECT count(*) FROM fetches").fetchall() == [(2,)]


def test_it_opens_from_any_folder_and_reads_its_own_dataset(door: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    write_table(CURATED, Path("data/curated"), [make_sample(9)], per_crawl=False)
    assert door.execute("SELECT count(*) FROM samples").fetchall() == [(7,)]


def test_plain_duckdb_reads_it_from_its_own_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build()
    monkeypatch.chdir("data/catalog")
    with duckdb.connect("sluice.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM samples").fetchall() == [(7,)]
        assert connection.execute("SELECT count(*) FROM concepts").fetchall() == [(2,)]
        assert connection.execute("SELECT step, n_rows FROM funnel('beta')").fetchall() == [(2, 1)]


def test_plain_duckdb_reads_it_from_elsewhere_when_told_where_it_lies(project: Path) -> None:
    build()
    with duckdb.connect("data/catalog/sluice.duckdb", read_only=True) as connection:
        connection.execute("SET file_search_path = 'data/catalog'")
        assert connection.execute("SELECT count(*) FROM samples").fetchall() == [(7,)]


def test_tallies_and_macros_answer(door: Catalog) -> None:
    assert door.execute("SELECT concept, reason, n_rows FROM tallies WHERE crawl = 'alpha'").fetchall() == [
        ("cat", "timeout", 1),
        ("cat", "duplicate", 2),
        ("cat", "label_noise", 1),
        ("cat", "kept", 2),
    ]
    assert door.execute("FROM funnel('alpha')").fetchall() == [
        (STEPS["timeout"], "timeout", 1, 5),
        (STEPS["duplicate"], "duplicate", 2, 3),
        (STEPS["label_noise"], "label_noise", 1, 2),
        (STEPS["kept"], "kept", 2, 2),
    ]
    matrix = [
        ("cat", "(off_topic)", 1, pytest.approx(1 / 3)),
        ("cat", "cat", 1, pytest.approx(1 / 3)),
        ("cat", "dog", 1, pytest.approx(1 / 3)),
    ]
    assert door.execute("FROM noise_matrix()").fetchall() == matrix
    assert door.execute("FROM cooccur()").fetchall() == [("duplicate", "label_noise", 1, pytest.approx(1 / 3))]
    assert door.execute("SELECT count(*) FROM duckdb_functions() WHERE NOT internal AND comment <> ''").fetchall() == [(3,)]


def test_a_rebuild_differs_in_the_database_id_alone(project: Path) -> None:
    build()
    first = Path("data/catalog/sluice.duckdb").read_bytes()
    rebuild()
    second = Path("data/catalog/sluice.duckdb").read_bytes()
    assert len(first) == len(second)
    assert sum(a != b for a, b in zip(first, second, strict=True)) <= 5 * 24  # an id of 16 bytes in each header, and checksums


READS = [
    "SELECT * FROM read_text('/etc/passwd')",
    "FROM '/etc/passwd'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_csv('{top}/params.yaml')",
    "SELECT * FROM read_text('{top}/data/curated/../../params.yaml')",
    "SELECT * FROM read_text('{top}/data/curated-not/x')",
]
CHANGES = ["SET threads = 1", "SET lock_configuration = false", "PRAGMA enable_profiling", "SET VARIABLE root = '/'", "USE memory"]
WRITES = [
    "COPY (SELECT 1) TO '{top}/data/curated/evil.parquet'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{top}/data/curated/evil.parquet'",
    "EXPLAIN /* */ ANALYZE COPY (SELECT 1) TO '{top}/data/curated/evil.parquet'",
    "WITH a AS (COPY (SELECT 1) TO '{top}/data/curated/evil.parquet') SELECT * FROM a",
    "EXPLAIN ANALYZE WITH a AS (COPY (SELECT 1) TO '{top}/data/curated/evil.parquet') SELECT * FROM a",
    "SELECT * FROM (WITH a AS (COPY (SELECT 1) TO '{top}/data/curated/evil.parquet') SELECT * FROM a)",
    "SELECT 1; COPY (SELECT 1) TO '{top}/data/curated/evil.parquet'",
    "FROM query('COPY (SELECT 1) TO ''{top}/data/curated/evil.parquet''')",
    "SELECT 1) TO '{top}/data/curated/evil.parquet'; --",
    "PREPARE p AS COPY (SELECT 1) TO '{top}/data/curated/evil.parquet'",
    "EXPORT DATABASE '{top}/data/curated/evil'",
    "ATTACH '{top}/data/curated/evil.duckdb' AS evil",
    "CREATE TABLE evil AS SELECT 1",
    "CREATE TEMP TABLE evil AS SELECT 1",
    "DROP VIEW samples",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = '{top}/data/curated/evil')",
    "CALL enable_logging(storage = 'file', storage_path = '{top}/data/curated/evil')",
]


@pytest.mark.parametrize("sql", READS + CHANGES + WRITES)
def test_the_door_is_shut(door: Catalog, built: Path, sql: str) -> None:
    before = sorted(built.rglob("*"))
    with pytest.raises((ValueError, duckdb.Error)):
        door.execute(sql.format(top=built)).fetchall()
    assert sorted(built.rglob("*")) == before


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "EXPLAIN SELECT * FROM samples",
        "explain analyze select 1 -- why",
        "DESCRIBE samples",
        "SUMMARIZE crawls",
        "SHOW TABLES",
        "FROM crawls;",
    ],
)
def test_reading_statements_pass(door: Catalog, sql: str) -> None:
    assert door.execute(sql).fetchall()


def test_the_door_says_what_is_not_allowed(door: Catalog) -> None:
    with pytest.raises(ValueError, match=r"^the catalog is read-only: COPY is not allowed, use SELECT$"):
        door.execute("COPY (SELECT 1) TO 'x'")
    with pytest.raises(ValueError, match=r"^one statement at a time, got 2$"):
        door.execute("SELECT 1; SELECT 2")
    with pytest.raises(ValueError, match=r"^no catalog at nowhere/sluice.duckdb: run `dvc repro catalog` first$"):
        open_catalog(Path("nowhere/sluice.duckdb"), Path(), FOLDERS)


def test_order_and_bound_values_survive_the_door(door: Catalog) -> None:
    ordered = "SELECT x FROM (VALUES (2), (3), (1)) t(x) WHERE x < $limit ORDER BY x DESC"
    assert door.execute(ordered, {"limit": 3}).fetchall() == [(2,), (1,)]
    hostile = digest("x") + "' OR 1 = 1 --"
    assert door.execute("SELECT count(*) FROM samples WHERE sample_id = ?", [hostile]).fetchall() == [(0,)]


def test_python_variables_are_no_tables(door: Catalog) -> None:
    secret = os.environ  # a name that DuckDB would find in this frame
    assert secret
    with pytest.raises(duckdb.CatalogException):
        door.execute("SELECT * FROM secret")
