"""Tell how columns hang together: the label's probabilistic model and its ground truth correlations.

Holland et al. 2018 show, for every two variables, how much one tells of the other, and how variables go with what is known from outside.
"""

from collections.abc import Sequence
from math import log, sqrt

import duckdb

from tasks.methods.report_queries import Rows, ask
from tasks.methods.sql import identifier

TOLD = ("crawl", "concept", "suggested_concept", "verdict", "reason", "format", "split")


def dependence(connection: duckdb.DuckDBPyConnection, columns: Sequence[str] = TOLD) -> list[list[float | None]]:
    """Normalised mutual information of every two columns of `samples`: 0 = they know nothing of each other, 1 = one gives the other.

    I(X; Y) / sqrt(H(X) H(Y)) over rows (Strehl and Ghosh 2002, eq. 3), null being a value; None where a column doesn't vary.
    """
    found: list[list[float | None]] = [[None] * len(columns) for _ in columns]
    for i, one in enumerate(columns):
        for j, other in enumerate(columns[: i + 1]):
            sql = f"SELECT {identifier(one)} AS a, {identifier(other)} AS b, count(*) AS n FROM samples GROUP BY ALL"
            found[i][j] = found[j][i] = _shared(ask(connection, sql))
    return found


def truth_correlations(connection: duckdb.DuckDBPyConnection, scores: Sequence[str]) -> list[tuple[str, float | None]]:
    """Pearson correlation of each score with a person's verdict (1 where the given concept was confirmed, else 0), over reviewed rows."""
    columns = ", ".join(f"corr({identifier(score)}, (reviewed = 'confirmed')::INT) AS {identifier(score)}" for score in scores)
    row = ask(connection, f"SELECT {columns} FROM samples WHERE reviewed IS NOT NULL")[0]
    return [(score, None if row[score] is None or row[score] != row[score] else float(row[score])) for score in scores]


def _shared(rows: Rows) -> float | None:
    """Normalised mutual information out of joint counts (a, b, n)."""
    total = sum(row["n"] for row in rows)
    first: dict[object, int] = {}
    second: dict[object, int] = {}
    for row in rows:
        first[row["a"]] = first.get(row["a"], 0) + row["n"]
        second[row["b"]] = second.get(row["b"], 0) + row["n"]
    if len(first) < 2 or len(second) < 2:
        return None
    order = sorted(rows, key=lambda row: (row["n"], str(row["a"]), str(row["b"])))  # sums then come out equal every time
    shared: float = sum(row["n"] / total * log(row["n"] * total / (first[row["a"]] * second[row["b"]])) for row in order)
    spread = _entropy(list(first.values())) * _entropy(list(second.values()))
    return min(1.0, max(0.0, shared / sqrt(spread)))


def _entropy(counts: Sequence[int]) -> float:
    total = sum(counts)
    return -sum(n / total * log(n / total) for n in sorted(counts))
