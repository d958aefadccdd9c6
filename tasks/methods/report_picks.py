"""Pick the rows to show: a few kept, a few per reason, a few per confused pair, and those worth a person's time."""

import duckdb

from tasks.methods.report_queries import PICTURED, SHOWN, Rows, ask


def kept_rows(connection: duckdb.DuckDBPyConnection, *, limit: int) -> Rows:
    """Kept rows, the concepts in turn."""
    return ask(
        connection,
        f"""SELECT {SHOWN} FROM (SELECT *, row_number() OVER (PARTITION BY curated_concept ORDER BY sample_id) AS turn
        FROM samples WHERE keep AND {PICTURED}) ORDER BY turn, curated_concept NULLS LAST LIMIT $limit""",
        limit=limit,
    )


def dropped_rows(connection: duckdb.DuckDBPyConnection, *, limit: int) -> dict[str, Rows]:
    """At most `limit` dropped rows with a picture per first reason."""
    rows = ask(
        connection,
        f"""SELECT {SHOWN} FROM samples WHERE NOT keep AND {PICTURED}
        QUALIFY row_number() OVER (PARTITION BY reason ORDER BY sample_id) <= $limit ORDER BY reason, sample_id""",
        limit=limit,
    )
    return _grouped(rows, "reason")


def anchor_rows(connection: duckdb.DuckDBPyConnection, *, limit: int) -> dict[str, Rows]:
    """Per concept the clean anchors that its prototype is made of, the most typical first."""
    columns = ", ".join(f"samples.{name.strip()}" for name in SHOWN.split(","))
    rows = ask(
        connection,
        f"""SELECT {columns}, matched_concept, similarity
        FROM matches JOIN samples USING (sample_id) WHERE is_anchor AND {PICTURED}
        QUALIFY row_number() OVER (PARTITION BY matched_concept ORDER BY similarity DESC, sample_id) <= $limit
        ORDER BY matched_concept, similarity DESC, sample_id""",
        limit=limit,
    )
    return _grouped(rows, "matched_concept")


def confused_rows(connection: duckdb.DuckDBPyConnection, *, pairs: int, limit: int) -> list[tuple[str, str, int, Rows]]:
    """The most frequent confusions: given concept, suggested one, number of rows, and the rows whose given concept is surest wrong."""
    found = ask(
        connection,
        """SELECT concept AS given, suggested_concept AS suggested, count(*) AS n FROM samples WHERE verdict = 'wrong_concept'
        GROUP BY ALL ORDER BY n DESC, given, suggested LIMIT $pairs""",
        pairs=pairs,
    )
    shown = f"""SELECT {SHOWN} FROM samples WHERE verdict = 'wrong_concept' AND concept = $given AND suggested_concept = $suggested
        AND {PICTURED} ORDER BY label_score, sample_id LIMIT $limit"""
    return [
        (one["given"], one["suggested"], one["n"], ask(connection, shown, given=one["given"], suggested=one["suggested"], limit=limit))
        for one in found
    ]


def review_rows(connection: duckdb.DuckDBPyConnection, *, limit: int) -> Rows:
    """Rows that a person should look at first: the largest expected gain, not reviewed yet."""
    return ask(
        connection,
        f"""SELECT {SHOWN} FROM samples WHERE review_priority IS NOT NULL AND reviewed IS NULL AND {PICTURED}
        ORDER BY review_priority DESC, sample_id LIMIT $limit""",
        limit=limit,
    )


def copy_rows(connection: duckdb.DuckDBPyConnection, *, limit: int) -> list[tuple[str, float, Rows]]:
    """Pairs of copies to show, at most `limit` per evidence, the least alike first: evidence, similarity, the two rows."""
    pairs = ask(
        connection,
        f"""SELECT evidence, similarity, pairs.sample_id AS later, other_id AS earlier FROM pairs
        JOIN samples AS one ON one.sample_id = pairs.sample_id JOIN samples AS two ON two.sample_id = pairs.other_id
        WHERE one.{PICTURED.replace("coalesce(reason", "coalesce(one.reason")}
        AND two.{PICTURED.replace("coalesce(reason", "coalesce(two.reason")} AND one.image_id <> two.image_id
        QUALIFY row_number() OVER (PARTITION BY evidence ORDER BY similarity, later, earlier) <= $limit
        ORDER BY evidence, similarity, later, earlier""",
        limit=limit,
    )
    wanted = sorted({row[side] for row in pairs for side in ("earlier", "later")})
    rows = {row["sample_id"]: row for row in ask(connection, f"SELECT {SHOWN} FROM samples WHERE sample_id IN $wanted", wanted=wanted)}
    return [(row["evidence"], row["similarity"], [rows[row["earlier"]], rows[row["later"]]]) for row in pairs]


def _grouped(rows: Rows, column: str) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found
