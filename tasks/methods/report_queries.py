"""Ask the tables what a reader wants to know: counts, spreads and the rows to show, bounded however large the tables are.

DuckDB streams the Parquet files. Rows to show are those of the smallest sample_id, which is a hash and so a random draw.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from tasks.methods.sql import connect, identifier

Rows = list[dict[str, Any]]
SCORES = ("label_score", "ood_score", "text_score", "near_duplicate_score")
SHOWN = (
    "sample_id, crawl, shard, key, url, alt_text, concept, suggested_concept, curated_concept, verdict, confidence, reason, review_priority"
)
# Rows whose picture lies in the tar shards and may be shown.
PICTURED = "status = 'ok' AND coalesce(reason, '') NOT IN ('forgotten', 'blocked')"


def open_tables(tables: Mapping[str, tuple[Sequence[str], pa.Schema]]) -> duckdb.DuckDBPyConnection:
    """A connection with one view per table: its Parquet files and, where it has none yet, its schema without rows."""
    connection = connect()
    connection.execute("SET threads = 1")  # sums and sketches then come out equal every time
    for name, (files, schema) in tables.items():
        if files:
            connection.read_parquet(list(files), hive_partitioning=False).create_view(name)
        else:
            connection.register(name, schema.remove_metadata().empty_table())
    return connection


def ask(connection: duckdb.DuckDBPyConnection, sql: str, **values: object) -> Rows:
    """The answer as one mapping per row."""
    found = connection.execute(sql, values) if values else connection.execute(sql)
    names = [item[0] for item in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def totals(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Rows, decoded and kept ones, concepts, hosts and so on of the whole dataset."""
    return ask(
        connection,
        """SELECT count(*) AS n_rows, count(*) FILTER (status = 'ok') AS n_decoded, count(*) FILTER (keep) AS n_kept,
            count(DISTINCT concept) AS n_concepts, count(DISTINCT image_id) AS n_images,
            count(*) FILTER (keep AND concept IS NOT NULL AND curated_concept <> concept) AS n_relabelled,
            count(*) FILTER (verdict = 'wrong_concept') AS n_wrong, count(*) FILTER (verdict = 'off_topic') AS n_off_topic,
            count(reviewed) AS n_reviewed,
            count(*) FILTER (verdict = CASE reviewed WHEN 'confirmed' THEN 'right' WHEN 'corrected' THEN 'wrong_concept'
                WHEN 'dropped' THEN 'off_topic' END) AS n_agreed, coalesce(sum(bytes), 0) AS n_bytes,
            count(*) FILTER (trim(alt_text) <> '') AS n_texts
        FROM samples""",
    )[0]


def rows_per_reason(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, int]]:
    """Rows by their first reason: `n` of them, and `n_any`, how many rows the reason holds for at all."""
    first = ask(connection, "SELECT reason, count(*) AS n FROM samples WHERE NOT keep GROUP BY reason ORDER BY reason")
    each = ask(connection, "SELECT reason, count(*) AS n FROM (SELECT unnest(reasons) AS reason FROM samples) GROUP BY reason")
    anywhere = {row["reason"]: row["n"] for row in each}
    return {row["reason"]: {"n": row["n"], "n_any": anywhere[row["reason"]]} for row in first if row["reason"]}


def rows_per_crawl(connection: duckdb.DuckDBPyConnection) -> Rows:
    """Rows, decoded and kept rows of every crawl."""
    return ask(
        connection,
        """SELECT crawl, count(*) AS n_rows, count(*) FILTER (status = 'ok') AS n_decoded, count(*) FILTER (keep) AS n_kept
        FROM samples GROUP BY crawl ORDER BY crawl""",
    )


def concept_figures(connection: duckdb.DuckDBPyConnection, *, limit: int) -> Rows:
    """Per given concept: rows, kept rows, share of decodable rows judged right; the `limit` largest."""
    return ask(
        connection,
        """SELECT concept, count(*) AS n_rows, count(*) FILTER (keep) AS n_kept, count(*) FILTER (verdict IS NOT NULL) AS n_judged,
            count(*) FILTER (verdict = 'right') AS n_right, count(*) FILTER (verdict = 'wrong_concept') AS n_wrong,
            count(*) FILTER (verdict = 'off_topic') AS n_off_topic
        FROM samples WHERE concept IS NOT NULL GROUP BY concept ORDER BY n_rows DESC, concept LIMIT $limit""",
        limit=limit,
    )


def confusion(connection: duckdb.DuckDBPyConnection) -> Rows:
    """Rows per given concept and what the images were judged to show; null stands for none of the concepts."""
    return ask(
        connection,
        """SELECT concept AS given, CASE WHEN verdict = 'off_topic' THEN NULL ELSE suggested_concept END AS suggested, count(*) AS n
        FROM samples WHERE concept IS NOT NULL AND verdict IS NOT NULL GROUP BY ALL ORDER BY n DESC, given, suggested NULLS LAST""",
    )


def histograms(connection: duckdb.DuckDBPyConnection, *, bins: int) -> dict[str, dict[bool, list[int]]]:
    """Per score, rows per bin of [0, 1], for kept (True) and dropped (False) rows with a picture."""
    found = {}
    for score in SCORES:
        counts = {True: [0] * bins, False: [0] * bins}
        sql = f"""SELECT keep, least(floor({identifier(score)} * $bins), $bins - 1)::INT AS bin, count(*) AS n
            FROM samples WHERE {identifier(score)} IS NOT NULL GROUP BY ALL"""
        for row in ask(connection, sql, bins=bins):
            counts[row["keep"]][row["bin"]] = row["n"]
        found[score] = counts
    return found


def correlations(connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> list[list[float | None]]:
    """Pearson correlations between columns of `scores` and near_duplicate_score of `samples`; null where a column doesn't vary."""
    pairs = [f"corr({identifier(one)}, {identifier(other)})" for one in columns for other in columns]
    joined = "scores JOIN (SELECT sample_id, near_duplicate_score FROM samples) USING (sample_id)"
    row = connection.execute(f"SELECT {', '.join(pairs)} FROM {joined}").fetchall()[0]
    flat = [None if value is None or value != value else float(value) for value in row]
    return [flat[start : start + len(columns)] for start in range(0, len(flat), len(columns))]


def variable_figures(connection: duckdb.DuckDBPyConnection, schema: pa.Schema) -> Rows:
    """Per column of `samples`: type, meaning, missing share and, by its kind, distinct values and the commonest, or the spread."""
    found = []
    for field in schema:
        name, numeric = identifier(field.name), pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        spread = f"min({name}), approx_quantile({name}, 0.5), avg({name}), max({name}), stddev({name})" if numeric else "1, 1, 1, 1, 1"
        top = f"SELECT {name}::VARCHAR FROM samples WHERE {name} IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
        nominal = f"approx_count_distinct({name}), ({top})" if not numeric else "1, ''"
        row = connection.execute(f"SELECT 1 - count({name}) / greatest(count(*), 1), {spread}, {nominal} FROM samples").fetchall()[0]
        meaning = (field.metadata or {}).get(b"comment", b"").decode()
        entry = {"name": field.name, "type": str(field.type), "meaning": meaning, "numeric": numeric, "missing": row[0]}
        entry |= dict(zip(("min", "median", "mean", "max", "std"), row[1:6], strict=True)) if numeric else {}
        entry |= {"distinct": row[6], "commonest": row[7]} if not numeric else {}
        found.append(entry)
    return found


def host_figures(connection: duckdb.DuckDBPyConnection, *, limit: int) -> tuple[int, Rows]:
    """Number of hosts, and rows, decoded and kept rows of the largest."""
    sql = """SELECT lower(regexp_extract(url, '^[A-Za-z]+://([^/:?#]+)', 1)) AS host, count(*) AS n_rows,
        count(*) FILTER (status = 'ok') AS n_decoded, count(*) FILTER (keep) AS n_kept FROM samples GROUP BY host"""
    number = ask(connection, f"SELECT count(*) AS n FROM ({sql})")[0]["n"]
    return number, ask(connection, f"{sql} ORDER BY n_rows DESC, host LIMIT $limit", limit=limit)


def rows_per_split(connection: duckdb.DuckDBPyConnection) -> Rows:
    """Kept rows per split."""
    return ask(connection, "SELECT split, count(*) AS n FROM samples WHERE keep AND split IS NOT NULL GROUP BY split ORDER BY n DESC")


def evidence_figures(connection: duckdb.DuckDBPyConnection) -> Rows:
    """Pairs of copies by evidence."""
    return ask(connection, "SELECT evidence, count(*) AS n FROM pairs GROUP BY evidence ORDER BY n DESC, evidence")


def accuracy_per_concept(connection: duckdb.DuckDBPyConnection) -> tuple[int, Rows]:
    """Number of clean pictures, and per true concept and arm the share of right answers over all seeds."""
    number = ask(connection, "SELECT count(DISTINCT (clean_set, picture_id)) AS n FROM predictions")[0]["n"]
    sql = "SELECT concept, arm, avg((predicted_concept = concept)::INT) AS accuracy FROM predictions GROUP BY ALL ORDER BY concept, arm"
    return number, ask(connection, sql)
