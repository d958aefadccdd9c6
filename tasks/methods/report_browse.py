"""Browse: rows of every kind in one sheet that filters by decision and by concept, without a script."""

from collections.abc import Sequence
from typing import Any

import duckdb
from markupsafe import Markup

from tasks.methods.report_queries import PICTURED, SHOWN, Rows, ask

KEPT = "kept"


def browse_rows(connection: duckdb.DuckDBPyConnection, *, limit: int) -> Rows:
    """Rows with a picture, decisions and concepts in turn, so that each has some."""
    return ask(
        connection,
        f"""SELECT {SHOWN} FROM (SELECT *, row_number() OVER (PARTITION BY reason, coalesce(curated_concept, concept, suggested_concept)
            ORDER BY sample_id) AS turn FROM samples WHERE {PICTURED}) ORDER BY turn, sample_id LIMIT $limit""",
        limit=limit,
    )


def boundary_rows(connection: duckdb.DuckDBPyConnection, *, threshold: float, limit: int) -> tuple[Rows, Rows]:
    """Rows nearest to the threshold on confidence: the last ones kept, and the first ones dropped for nothing but that."""
    kept = f"""SELECT {SHOWN} FROM samples WHERE keep AND {PICTURED} AND reviewed IS NULL AND confidence >= $threshold
        ORDER BY confidence, sample_id"""
    lost = f"""SELECT {SHOWN} FROM samples WHERE NOT keep AND {PICTURED} AND reviewed IS NULL AND confidence < $threshold
        AND list_has_any(reasons, ['label_noise', 'out_of_distribution']) AND len(reasons) = 1 ORDER BY confidence DESC, sample_id"""
    found = [ask(connection, f"{sql} LIMIT $limit", threshold=threshold, limit=limit) for sql in (kept, lost)]
    return found[0], found[1]


def concept_rows(connection: duckdb.DuckDBPyConnection, *, limit: int) -> dict[str, dict[str, Rows]]:
    """Per given concept, at most `limit` rows that are `kept` under it, `moved` to another one, and `dropped` by judgement."""
    rows = ask(
        connection,
        f"""SELECT {SHOWN}, CASE WHEN NOT keep THEN 'dropped' WHEN curated_concept = concept THEN 'kept' ELSE 'moved' END AS state
        FROM samples WHERE {PICTURED} AND concept IS NOT NULL AND (keep OR reason NOT IN ('duplicate', 'leak', 'pruned'))
        QUALIFY row_number() OVER (PARTITION BY concept, state ORDER BY sample_id) <= $limit ORDER BY concept, state, sample_id""",
        limit=limit,
    )
    found: dict[str, dict[str, Rows]] = {}
    for row in rows:
        found.setdefault(row["concept"], {}).setdefault(row["state"], []).append(row)
    return found


def filters(rows: Rows) -> dict[str, Any]:
    """The choices of the sheet, the mark of each row, and the style by which a choice hides the others.

    Marks are numbers of ours (`s0`, `c3`): a concept's name never gets into a style or an id.
    """
    states = list(dict.fromkeys(row["reason"] or KEPT for row in sorted(rows, key=lambda row: row["reason"] or "")))
    concepts = sorted({name for row in rows if (name := concept_of(row)) is not None})
    for row in rows:
        concept = concept_of(row)
        marks = [f"s{states.index(row['reason'] or KEPT)}", *([f"c{concepts.index(concept)}"] if concept is not None else [])]
        row["marks"] = " ".join(marks)
    return {"states": _numbered("s", states), "concepts": _numbered("c", concepts), "style": style(len(states), len(concepts))}


def concept_of(row: dict[str, Any]) -> str | None:
    """The concept that a row stands under on the sheet."""
    found = row["curated_concept"] or row["concept"] or row["suggested_concept"]
    return str(found) if found is not None else None


def style(n_states: int, n_concepts: int) -> Markup:
    """Hide what is not chosen, by the radio button that is checked."""
    marks = [f"s{place}" for place in range(n_states)] + [f"c{place}" for place in range(n_concepts)]
    return Markup("\n".join(f".browse:has(#browse-{mark}:checked) .sheet > li:not(.{mark}) {{ display: none; }}" for mark in marks))


def _numbered(letter: str, names: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"{letter}{place}", name) for place, name in enumerate(names)]
