"""Describe the catalog: the SQL of every view that analysts see, with a sentence for each view and column.

A view reads Parquet files by paths that start from the variable `root`, or from the working directory where it isn't set.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from tasks.methods.sql import ROOT, identifier, literal

KEPT = "kept"
TYPES = {
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.timestamp("us"): "TIMESTAMP",
}


@dataclass(frozen=True)
class View:
    """A view: its name, what one row is, its query, and a sentence for each column in order."""

    name: str
    doc: str
    query: str
    columns: dict[str, str]

    def statements(self) -> list[str]:
        """The SQL that makes the view and comments it."""
        name = identifier(self.name)
        comments = [f"COMMENT ON COLUMN {name}.{identifier(key)} IS {literal(text)}" for key, text in self.columns.items()]
        return [f"CREATE VIEW {name} AS {self.query}", f"COMMENT ON VIEW {name} IS {literal(self.doc)}", *comments]


def rows_of(schema: pa.Schema, patterns: Sequence[str]) -> str:
    """A query over the Parquet files that match any of the patterns; without one, a query for no rows of the same types."""
    if not patterns:
        empty = ", ".join(f"CAST(NULL AS {sql_type(field.type)}) AS {identifier(field.name)}" for field in schema)
        return f"SELECT {empty} WHERE false"
    files = ", ".join(f"coalesce(getvariable({literal(ROOT)}), '') || {literal(pattern)}" for pattern in patterns)
    columns = ", ".join(identifier(name) for name in schema.names)
    return f"SELECT {columns} FROM read_parquet([{files}], hive_partitioning = false)"


def sql_type(kind: pa.DataType) -> str:
    """The DuckDB type of a pyarrow type."""
    return f"{sql_type(kind.value_type)}[]" if pa.types.is_list(kind) else TYPES[kind]


def sentences(schema: pa.Schema) -> dict[str, str]:
    """The sentence of every column, which a contract keeps in its field's metadata."""
    return {field.name: (field.metadata or {})[b"comment"].decode() for field in schema}


def table_view(name: str, doc: str, schema: pa.Schema, patterns: Sequence[str]) -> View:
    """A view that shows a table as it is."""
    return View(name, doc, rows_of(schema, patterns), sentences(schema))


def in_order(names: Sequence[str]) -> str:
    """Rows (place, name), 1 first, for a VALUES clause, which can't be empty."""
    return ", ".join(f"({place}, {literal(name)})" for place, name in enumerate(names, start=1)) or "(0, NULL)"


def crawls_view(crawls: Sequence[str]) -> View:
    """One row per crawl, in order of arrival; counts come from `samples`."""
    query = f"""
        WITH arrivals(arrival, crawl) AS (VALUES {in_order(crawls)}),
        counts AS (
            SELECT crawl, count(*) AS n_rows, count(DISTINCT image_id) AS n_images, count(*) FILTER (status = 'ok') AS n_ok,
                count(*) FILTER (keep) AS n_kept
            FROM samples GROUP BY crawl
        )
        SELECT crawl, arrival, coalesce(n_rows, 0) AS n_rows, coalesce(n_images, 0) AS n_images, coalesce(n_ok, 0) AS n_ok,
            coalesce(n_kept, 0) AS n_kept, coalesce(n_kept / n_rows, 0) AS kept_share
        FROM arrivals LEFT JOIN counts USING (crawl) WHERE crawl IS NOT NULL ORDER BY arrival"""
    columns = {
        "crawl": "Name of the crawl",
        "arrival": "1 for the crawl that came first",
        "n_rows": "Samples of the crawl; one that came in an earlier crawl counts there alone",
        "n_images": "Distinct addresses among them",
        "n_ok": "Samples whose image could be fetched and decoded",
        "n_kept": "Samples in the curated set",
        "kept_share": "n_kept / n_rows",
    }
    return View("crawls", "One row per crawl, in order of arrival", query, columns)


def funnel_view(crawls: Sequence[str], reasons: Sequence[str]) -> View:
    """One row per crawl and reason that occurs, in the funnel's order; the last step is `kept`."""
    query = f"""
        WITH arrivals(arrival, crawl) AS (VALUES {in_order(crawls)}),
        steps(step, reason) AS (VALUES {in_order([*reasons, KEPT])}),
        counts AS (SELECT crawl, coalesce(reason, {literal(KEPT)}) AS reason, count(*) AS n_rows FROM samples GROUP BY ALL)
        SELECT crawl, step, reason, n_rows,
            CAST(CASE reason WHEN {literal(KEPT)} THEN n_rows ELSE coalesce(sum(n_rows) OVER later, 0) END AS BIGINT) AS n_left
        FROM counts LEFT JOIN steps USING (reason) LEFT JOIN arrivals USING (crawl)
        WINDOW later AS (PARTITION BY crawl ORDER BY step DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        ORDER BY arrival, step"""
    columns = {
        "crawl": "Name of the crawl",
        "step": "Place of the reason in the funnel, 1 first",
        "reason": "The first reason against these samples, or kept",
        "n_rows": "Samples that leave the funnel at this step, or are kept",
        "n_left": "Samples still in the funnel after this step",
    }
    return View("funnel", "One row per crawl and reason: where its samples were lost, and how many are kept", query, columns)


def concepts_view(schema: pa.Schema, patterns: Sequence[str]) -> View:
    """One row per concept of the concept files, with counts from `samples`."""
    query = f"""
        WITH given AS (
            SELECT concept AS name, count(*) AS n_rows, count(*) FILTER (keep AND curated_concept <> concept) AS n_moved_out
            FROM samples WHERE concept IS NOT NULL GROUP BY concept
        ),
        curated AS (
            SELECT curated_concept AS name, count(*) AS n_kept, count(*) FILTER (concept <> curated_concept) AS n_moved_in
            FROM samples WHERE keep AND curated_concept IS NOT NULL GROUP BY curated_concept
        )
        SELECT * EXCLUDE (n_rows, n_kept, n_moved_in, n_moved_out), coalesce(n_rows, 0) AS n_rows, coalesce(n_kept, 0) AS n_kept,
            coalesce(n_moved_in, 0) AS n_moved_in, coalesce(n_moved_out, 0) AS n_moved_out
        FROM ({rows_of(schema, patterns)}) LEFT JOIN given USING (name) LEFT JOIN curated USING (name) ORDER BY name"""
    counts = {
        "n_rows": "Samples that were searched for under this concept",
        "n_kept": "Samples in the curated set under this concept",
        "n_moved_in": "Kept samples that came under another concept",
        "n_moved_out": "Samples of this concept that are kept under another one",
    }
    return View("concepts", "One row per concept: what it means and how many samples it has", query, sentences(schema) | counts)


def neighbors_view(schema: pa.Schema, patterns: Sequence[str]) -> View:
    """One row per sample and neighbour; positions are replaced by ids.

    Not materialised, so that a condition on sample_id reaches the files: a lookup among a million samples takes 0.02 s, not 0.6 s.
    """
    query = f"""
        WITH graph AS NOT MATERIALIZED ({rows_of(schema, patterns)}),
        edges AS NOT MATERIALIZED (
            SELECT sample_id, crawl, unnest(neighbors) AS neighbor, unnest(similarities) AS similarity,
                generate_subscripts(neighbors, 1) AS rank
            FROM graph
        )
        SELECT edges.sample_id, edges.crawl, CAST(rank AS INTEGER) AS rank, other.sample_id AS neighbor_id, similarity
        FROM edges JOIN graph AS other ON other.position = edges.neighbor"""
    columns = {
        "sample_id": "Id of the sample",
        "crawl": "Crawl of the sample",
        "rank": "1 for the nearest neighbour",
        "neighbor_id": "sample_id of the neighbour",
        "similarity": "Cosine similarity of the two image embeddings",
    }
    return View("neighbors", "One row per indexed sample and neighbour: the kNN graph over images", query, columns)
