"""Count a crawl: exact figures and a bounded sample of rows out of the Parquet files of its records.

DuckDB streams the files, so memory stays bounded however large the crawl is.
"""

from collections.abc import Sequence
from typing import Any

from tasks.methods.sql import connect

FIGURES = """
WITH records AS (FROM read_parquet($files, hive_partitioning = false)),
copies AS (SELECT count(DISTINCT image_id) AS images FROM records WHERE status = 'ok' GROUP BY sha256)
SELECT
    count(*) AS n_rows,
    count(DISTINCT sample_id) / count(*) AS distinct_share,
    count(*) FILTER (status = 'ok') / count(*) AS success_share,
    count(*) FILTER (concept IS NOT NULL OR trim(alt_text) <> '') / count(*) AS described_share,
    count(*) FILTER (trim(alt_text) <> '') / count(*) AS text_share,
    count(concept) / count(*) AS concept_share,
    coalesce((SELECT max(images) / sum(images) FROM copies), 0.0) AS largest_duplicate_share
FROM records
"""
DETAILS = """
SELECT detail, count(*) FROM read_parquet($files, hive_partitioning = false)
WHERE detail IS NOT NULL GROUP BY detail ORDER BY count(*) DESC, detail
"""
SAMPLED = ("sample_id", "image_id", "status", "format", "sha256", "bytes", "original_width", "original_height")
SAMPLE = f"""
SELECT {", ".join(SAMPLED)} FROM read_parquet($files, hive_partitioning = false) ORDER BY sample_id LIMIT $max_rows
"""


def crawl_figures(files: Sequence[str]) -> dict[str, float]:
    """Exact figures over all rows: `n_rows`, and shares in [0, 1].

    `largest_duplicate_share` is the share of the fetched images that one SHA-256 has; samples that share an address count once.
    """
    if not files:
        shares = ("distinct_share", "success_share", "described_share", "text_share", "concept_share", "largest_duplicate_share")
        return {"n_rows": 0, **dict.fromkeys(shares, 0.0)}
    with connect() as connection:
        found = connection.execute(FIGURES, {"files": list(files)})
        names, values = [item[0] for item in found.description], found.fetchall()[0]
    return dict(zip(names, values, strict=True))


def failure_details(files: Sequence[str]) -> dict[str, int]:
    """Rows per detail of failure, the commonest first."""
    if not files:
        return {}
    with connect() as connection:
        return dict(connection.execute(DETAILS, {"files": list(files)}).fetchall())


def sampled_rows(files: Sequence[str], *, max_rows: int) -> dict[str, list[Any]]:
    """At most `max_rows` rows as lists by column: those of the smallest sample_id, which is a hash and so a random draw."""
    if not files:
        return {name: [] for name in SAMPLED}
    with connect() as connection:
        rows = connection.execute(SAMPLE, {"files": list(files), "max_rows": max_rows}).fetchall()
    return {name: [row[place] for row in rows] for place, name in enumerate(SAMPLED)}
