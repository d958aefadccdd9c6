"""Compare crawls: how far each one's mix of concepts and of reasons lies from that of the crawls before it, and how its rates moved."""

from collections.abc import Mapping, Sequence
from math import pi, sqrt
from typing import Any

import duckdb

from tasks.methods.report_queries import Rows, ask

Counts = Mapping[str, int]
MIXES = {"concepts": "concept", "reasons": "reason"}  # what is compared, and the column that tells it
KEPT = "kept"
MOVERS = 3  # shown per crawl and mix


def drift(connection: duckdb.DuckDBPyConnection, crawls: Sequence[str]) -> Rows:
    """One entry per crawl in order of arrival: its rates and, from the second on, per mix the distance from all crawls before it."""
    rates = {row["crawl"]: row for row in rates_per_crawl(connection)}
    counts = {name: mix_per_crawl(connection, column) for name, column in MIXES.items()}
    before: dict[str, dict[str, int]] = {name: {} for name in MIXES}
    found: Rows = []
    for crawl in crawls:
        if crawl not in rates:
            continue
        mixes = {name: moved(before[name], counts[name][crawl]) for name in MIXES} if found else {}
        found.append({**rates[crawl], "mixes": mixes})
        for name in MIXES:
            for key, n in counts[name][crawl].items():
                before[name][key] = before[name].get(key, 0) + n
    return found


def rates_per_crawl(connection: duckdb.DuckDBPyConnection) -> Rows:
    """Per crawl: rows; shares of them with a picture and kept; of those with a picture, shares that are copies, wrong and off-topic.

    Copies are rows with the reason `duplicate`; wrong and off-topic are counted among the judged rows, null where none is judged.
    """
    return ask(
        connection,
        """SELECT crawl, count(*) AS n_rows, count(*) FILTER (status = 'ok') / count(*) AS decoded,
            count(*) FILTER (keep) / count(*) AS kept,
            count(*) FILTER (list_contains(reasons, 'duplicate')) / nullif(count(*) FILTER (status = 'ok'), 0) AS copies,
            count(*) FILTER (verdict = 'wrong_concept') / nullif(count(verdict), 0) AS wrong,
            count(*) FILTER (verdict = 'off_topic') / nullif(count(verdict), 0) AS off_topic,
            avg(confidence) AS confidence
        FROM samples GROUP BY crawl ORDER BY crawl""",
    )


def mix_per_crawl(connection: duckdb.DuckDBPyConnection, column: str) -> dict[str, dict[str, int]]:
    """Crawl -> value of the column -> rows; a row without a reason counts as kept, rows without a concept not at all."""
    value = f"coalesce({column}, '{KEPT}')" if column == "reason" else column
    sql = f"SELECT crawl, {value} AS value, count(*) AS n FROM samples WHERE {value} IS NOT NULL GROUP BY ALL ORDER BY crawl, value"
    found: dict[str, dict[str, int]] = {row["crawl"]: {} for row in ask(connection, "SELECT DISTINCT crawl FROM samples")}
    for row in ask(connection, sql):
        found[row["crawl"]][row["value"]] = row["n"]
    return found


def moved(before: Counts, now: Counts) -> dict[str, Any] | None:
    """How far two mixes lie apart; None if one of them is empty.

    `distance` is the total variation distance: 0 the same mix, 1 nothing in common. `chance` is what it comes to on average if both are
    draws from one mix: half the sum of the mean absolute deviations (normal approximation). `movers` are the values that moved most.
    """
    n, m = sum(before.values()), sum(now.values())
    if not n or not m:
        return None
    names = sorted({*before, *now})
    pairs = [(name, before.get(name, 0) / n, now.get(name, 0) / m) for name in names]
    pooled = [(before.get(name, 0) + now.get(name, 0)) / (n + m) for name in names]
    chance = 0.5 * sum(sqrt(2 / pi * share * (1 - share) * (1 / n + 1 / m)) for share in pooled)
    movers = sorted(pairs, key=lambda pair: (-abs(pair[2] - pair[1]), pair[0]))[:MOVERS]
    return {
        "distance": 0.5 * sum(abs(new - old) for _, old, new in pairs),
        "chance": chance,
        "movers": [{"name": name, "before": old, "now": new} for name, old, new in movers if new != old],
    }
