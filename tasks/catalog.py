"""Catalog: the DuckDB file that analysts open, out of the curated table, its evidence and the record of runs.

The file holds views, macros and tallies (counts that would else be counted at every question). What no other stage writes, the concepts
and the runs, lies beside it as Parquet. All paths are relative to the file's own folder. `fetches` and `reviews` grow outside the graph:
they are read as they are when the catalog is opened, so that the file doesn't change with them.
"""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.contracts.fetches import CONTRACT as FETCHES
from tasks.contracts.reviews import CONTRACT as REVIEWS
from tasks.core.concepts import load_concepts
from tasks.core.files import write_atomically
from tasks.core.lineage import read_runs
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Contract, Source, column
from tasks.methods.catalog import Macro, View, live_view, table_view
from tasks.methods.catalog_views import concepts_view, crawls_view, funnel_view, macros, neighbors_view, stored_tallies, tallies_view
from tasks.methods.reasons import Reason
from tasks.methods.sql import ROOT, literal

DATABASE = "sluice.duckdb"
COUNTED = ("samples", "pairs", "predictions", "concepts")  # not neighbors: k rows per sample, behind a join
CONCEPTS = pa.schema(
    [
        column("name", pa.string(), "Name of the concept"),
        column("definition", pa.string(), "What the word means here"),
        column("synonyms", pa.list_(pa.string()), "Other words for it"),
        column("parent", pa.string(), "The wider concept, if one is given", nullable=True),
        column("distractors", pa.list_(pa.string()), "Other senses of the word, which are not meant"),
    ]
)
RUNS = pa.schema(
    [
        column("run_id", pa.string(), "Id of the run"),
        column("stage", pa.string(), "Stage of the graph"),
        column("item", pa.string(), "Crawl, or arm and seed, that the run was for; empty for stages over all crawls"),
        column("started", pa.timestamp("us"), "When it began, UTC"),
        column("status", pa.string(), "completed or failed"),
        column("seconds", pa.float64(), "Wall time in seconds"),
        column("peak_memory_mb", pa.float64(), "Peak memory of the process and its largest child, in MB"),
        column("host", pa.string(), "Name of the machine"),
        column("settings", pa.string(), "Pool, workers, device and memory ceiling, as JSON"),
        column("versions", pa.string(), "Versions of the packages that matter, as JSON"),
        column("metrics", pa.string(), "The stage's metrics, as JSON"),
    ]
)


def catalog(
    curated: Source,
    pairs: Source,
    neighbors: Source,
    predictions: Source,
    drift: Source,
    proposals: Source,
    concepts: Artifact,
    catalog: Artifact,
    crawls: list[str],
) -> Metrics:
    """Build catalog.path/sluice.duckdb anew; the views of tables that have no rows yet are there, and empty."""
    folder = catalog.path
    write_parquet(folder / "concepts.parquet", concept_rows(concepts), CONCEPTS)
    write_parquet(folder / "runs.parquet", run_rows(), RUNS)
    views = [
        plain_view(curated, folder),
        *stored_tallies(),
        tallies_view(list(Reason)),
        crawls_view(crawls),
        concepts_view(CONCEPTS, ["concepts.parquet"]),
        funnel_view(crawls),
        plain_view(pairs, folder),
        neighbors_view(neighbors.contract.schema, files(neighbors, folder)),
        plain_view(predictions, folder),
        plain_view(drift, folder),
        plain_view(proposals, folder),
        table_view("runs", "One row per run of a stage that was recorded when the catalog was built", RUNS, ["runs.parquet"]),
        growing_view(FETCHES, folder),
        growing_view(REVIEWS, folder),
    ]
    return build(folder / DATABASE, [*views, *macros()])


def plain_view(source: Source, folder: Path) -> View:
    """The view that shows a table as its contract describes it."""
    return table_view(source.contract.name, source.contract.doc, source.contract.schema, files(source, folder))


def growing_view(contract: Contract, folder: Path) -> View:
    """The view of a table that lies outside the graph; where the catalog is opened without it, the view is there and has no rows."""
    write_parquet(folder / f"{contract.name}.parquet", [], contract.schema)
    doc = f"{contract.doc}; as it is when the catalog is opened by sluice, and empty where the workspace has none"
    return live_view(contract.name, doc, contract.schema, f"{contract.name}.parquet")


def files(source: Source, folder: Path) -> list[str]:
    """The table's files, relative to the catalog's folder: one by one, for behind HTTP, where a copy may lie, nothing lists a folder."""
    return [Path(os.path.relpath(source.path(shard), folder)).as_posix() for shard in source.shards()]


def build(path: Path, entries: list[View | Macro]) -> Metrics:
    """Write the database atomically and count what it shows."""
    with write_atomically(path) as temporary, duckdb.connect(str(temporary)) as connection:
        connection.execute(f"SET VARIABLE {ROOT} = {literal(f'{path.parent}/')}")
        connection.execute("CREATE SCHEMA tallied")
        for entry in entries:
            for statement in entry.statements():
                connection.execute(statement)
        counts = {f"n_{name}": count(connection, name) for name in COUNTED}
    return {"n_views": sum(isinstance(entry, View) and not entry.stored for entry in entries), **counts}


def count(connection: duckdb.DuckDBPyConnection, view: str) -> int:
    """Rows of one view."""
    found = connection.execute(f"SELECT count(*) FROM {view}").fetchone()
    return int(found[0]) if found else 0


def concept_rows(concepts: Artifact) -> list[dict[str, Any]]:
    """The concept files as rows."""
    return [concept.model_dump() for concept in load_concepts(concepts.path)]


def run_rows() -> list[dict[str, Any]]:
    """The recorded runs as rows; what differs between stages is JSON."""
    rows = []
    for run in read_runs():
        row: dict[str, Any] = {name: run[name] for name in ("run_id", "stage", "item", "status", "seconds", "peak_memory_mb", "host")}
        row["started"] = datetime.fromisoformat(run["started"]).replace(tzinfo=None)
        row |= {name: json.dumps(run[name], sort_keys=True) for name in ("settings", "versions", "metrics")}
        rows.append(row)
    return rows


def write_parquet(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Write the rows of one of the catalog's own tables."""
    with write_atomically(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="zstd")


if __name__ == "__main__":
    main(catalog)
