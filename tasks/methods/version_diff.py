"""Compare versions: the SQL that tells rows in, rows out and changed decisions apart, and metrics side by side."""

from collections.abc import Mapping

CHANGES = """
WITH old AS (SELECT sample_id, crawl, concept, keep, reason, curated_concept FROM read_parquet($before, hive_partitioning = false)),
new AS (SELECT sample_id, crawl, concept, keep, reason, curated_concept FROM read_parquet($after, hive_partitioning = false)),
both_sides AS (
    SELECT coalesce(new.sample_id, old.sample_id) AS sample_id,
        coalesce(new.concept, old.concept) AS concept,
        CASE WHEN old.sample_id IS NULL THEN NULL WHEN old.keep THEN 'kept' ELSE old.reason END AS before,
        CASE WHEN new.sample_id IS NULL THEN NULL WHEN new.keep THEN 'kept' ELSE new.reason END AS after,
        CASE WHEN old.sample_id IS NULL THEN 'came' WHEN new.sample_id IS NULL THEN 'left'
            WHEN new.keep AND NOT old.keep THEN 'kept now' WHEN old.keep AND NOT new.keep THEN 'dropped now'
            WHEN new.curated_concept IS DISTINCT FROM old.curated_concept THEN 'moved'
            WHEN new.reason IS DISTINCT FROM old.reason THEN 'other reason' END AS change,
        old.curated_concept AS old_concept, new.curated_concept AS new_concept
    FROM old FULL JOIN new ON old.sample_id = new.sample_id
)
SELECT * FROM (SELECT change, concept, CASE change WHEN 'moved' THEN old_concept ELSE before END AS "from",
    CASE change WHEN 'moved' THEN new_concept ELSE after END AS "to", count(*) AS n_rows,
    list_slice(list(sample_id ORDER BY sample_id), 1, $n_examples) AS examples
FROM both_sides WHERE change IS NOT NULL GROUP BY ALL)
ORDER BY list_position(['came', 'left', 'kept now', 'dropped now', 'moved', 'other reason'], change), n_rows DESC, concept, "from", "to"
"""


def figures_side_by_side(before: Mapping[str, float], after: Mapping[str, float]) -> list[tuple[str, float | None, float | None]]:
    """Name and both values of each figure that differs, by name; None on the side that does not have it."""
    names = sorted({*before, *after})
    return [(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]
