"""Trade purity for yield: what each threshold on confidence would promise, and the one that was chosen."""

from typing import Any

import duckdb
from markupsafe import Markup

from tasks.methods.report_charts import lines
from tasks.methods.report_queries import Rows, ask

# Rows that a threshold decides about: with a score, one of each group of copies, no leak, not rejected by a person.
ELIGIBLE = "confidence IS NOT NULL AND NOT list_has_any(reasons, ['leak', 'duplicate', 'rejected'])"
CERTAIN = "CASE WHEN reviewed IN ('confirmed', 'corrected') THEN 1 ELSE confidence END"


def tradeoff(connection: duckdb.DuckDBPyConnection, *, bins: int) -> Rows:
    """Per threshold, strictest first: `threshold`, `n` rows of at least that confidence, their `purity` (mean) and `yield` (share)."""
    return ask(
        connection,
        f"""WITH certain AS (SELECT {CERTAIN} AS value FROM samples WHERE {ELIGIBLE}),
        binned AS (SELECT least(floor(value * $bins), $bins - 1)::INT AS bin, count(*) AS n, sum(value) AS total FROM certain GROUP BY bin)
        SELECT bin / $bins AS threshold, sum(n) OVER strictest AS n, sum(total) OVER strictest / sum(n) OVER strictest AS purity,
            sum(n) OVER strictest / sum(n) OVER () AS yield
        FROM binned WINDOW strictest AS (ORDER BY bin DESC) ORDER BY bin DESC""",
        bins=bins,
    )


def chosen(connection: duckdb.DuckDBPyConnection, *, threshold: float) -> dict[str, Any] | None:
    """The point of the threshold in force; None if it lets no row through."""
    row = ask(
        connection,
        f"""SELECT avg(value) FILTER (value >= $threshold) AS purity, count(*) FILTER (value >= $threshold) AS n,
            count(*) FILTER (value >= $threshold) / greatest(count(*), 1) AS yield
        FROM (SELECT {CERTAIN} AS value FROM samples WHERE {ELIGIBLE})""",
        threshold=threshold,
    )[0]
    return row | {"threshold": threshold} if row["n"] else None


def chart(points: Rows, mark: dict[str, Any] | None) -> Markup:
    """Expected purity over yield, the chosen point as a dot."""
    curve = [(row["yield"], row["purity"]) for row in points]
    title = "Expected purity by the share of rows kept"
    if mark is not None:
        title += f"; chosen: purity {mark['purity']:.3f} at yield {mark['yield']:.3f}"
    dots = [(mark["yield"], mark["purity"])] if mark is not None else []
    return lines([("", "curated", curve)], title=title, x_title="share of the rows that a threshold decides about", dots=dots)
