"""Say what analysts see: the views and macros of the catalog that are more than a table as it is.

What is asked most, counts, is tallied once and kept in the file (schema `tallied`); the views and macros over counts start from there.
"""

from collections.abc import Sequence

import pyarrow as pa

from tasks.methods.catalog import Macro, View, rows_of, sentences
from tasks.methods.sql import literal

KEPT = "kept"


def in_order(names: Sequence[str]) -> str:
    """Rows (place, name), 1 first, for a VALUES clause, which can't be empty."""
    return ", ".join(f"({place}, {literal(name)})" for place, name in enumerate(names, start=1)) or "(0, NULL)"


def stored_tallies() -> list[View]:
    """What is counted once, when the catalog is built: samples by everything that decides, images and confusions per crawl."""
    samples = View(
        "tallied.samples",
        "How many samples share crawl, status, concepts and reasons: counted when the catalog was built",
        """SELECT crawl, status, concept, curated_concept, reasons, count(*) AS n_rows FROM samples GROUP BY ALL ORDER BY ALL""",
        {
            "crawl": "Name of the crawl",
            "status": "ok or failed",
            "concept": "Concept that the images were searched for",
            "curated_concept": "Concept after curation; null unless kept",
            "reasons": "Every reason against the samples; empty when kept",
            "n_rows": "Number of samples",
        },
        stored=True,
    )
    images = View(
        "tallied.images",
        "How many distinct addresses a crawl has: counted when the catalog was built",
        "SELECT crawl, count(DISTINCT image_id) AS n_images FROM samples GROUP BY crawl ORDER BY crawl",
        {"crawl": "Name of the crawl", "n_images": "Distinct addresses among the crawl's samples"},
        stored=True,
    )
    confusions = View(
        "tallied.confusions",
        "How many samples share crawl, verdict, given and suggested concept: counted when the catalog was built",
        """SELECT crawl, verdict, concept, suggested_concept, count(*) AS n_rows FROM samples
        WHERE verdict IS NOT NULL GROUP BY ALL ORDER BY ALL""",
        {
            "crawl": "Name of the crawl",
            "verdict": "right, wrong_concept or off_topic",
            "concept": "Concept that the images were searched for",
            "suggested_concept": "Best guess at the concept",
            "n_rows": "Number of samples",
        },
        stored=True,
    )
    return [samples, images, confusions]


def crawls_view(crawls: Sequence[str]) -> View:
    """One row per crawl, in order of arrival."""
    query = f"""
        WITH arrivals(arrival, crawl) AS (VALUES {in_order(crawls)}),
        counts AS (
            SELECT crawl, sum(n_rows)::BIGINT AS n_rows, coalesce(sum(n_rows) FILTER (status = 'ok'), 0)::BIGINT AS n_ok,
                coalesce(sum(n_rows) FILTER (len(reasons) = 0), 0)::BIGINT AS n_kept
            FROM tallied.samples GROUP BY crawl
        )
        SELECT crawl, arrival, coalesce(n_rows, 0) AS n_rows, coalesce(n_images, 0) AS n_images, coalesce(n_ok, 0) AS n_ok,
            coalesce(n_kept, 0) AS n_kept, coalesce(n_kept / n_rows, 0) AS kept_share
        FROM arrivals LEFT JOIN counts USING (crawl) LEFT JOIN tallied.images USING (crawl) WHERE crawl IS NOT NULL ORDER BY arrival"""
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


def tallies_view(reasons: Sequence[str]) -> View:
    """One row per crawl, concept and first reason."""
    query = f"""
        WITH steps(step, reason) AS (VALUES {in_order([*reasons, KEPT])}),
        counts AS (
            SELECT crawl, concept, coalesce(reasons[1], {literal(KEPT)}) AS reason, sum(n_rows)::BIGINT AS n_rows
            FROM tallied.samples GROUP BY ALL
        )
        SELECT crawl, concept, step, reason, n_rows FROM counts LEFT JOIN steps USING (reason) ORDER BY crawl, concept, step"""
    columns = {
        "crawl": "Name of the crawl",
        "concept": "Concept that the images were searched for; null in crawls of image-text pairs",
        "step": "Place of the reason in the funnel, 1 first",
        "reason": "The first reason against these samples, or kept",
        "n_rows": "Number of samples",
    }
    return View("tallies", "One row per crawl, concept and reason: how many samples, without a look at their rows", query, columns)


def funnel_view(crawls: Sequence[str]) -> View:
    """One row per crawl and reason that occurs, in the funnel's order; the last step is `kept`."""
    query = f"""
        WITH arrivals(arrival, crawl) AS (VALUES {in_order(crawls)}),
        counts AS (SELECT crawl, step, reason, sum(n_rows)::BIGINT AS n_rows FROM tallies GROUP BY ALL)
        SELECT crawl, step, reason, n_rows,
            CAST(CASE reason WHEN {literal(KEPT)} THEN n_rows ELSE coalesce(sum(n_rows) OVER later, 0) END AS BIGINT) AS n_left
        FROM counts LEFT JOIN arrivals USING (crawl)
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


def concepts_view(schema: pa.Schema, files: Sequence[str]) -> View:
    """One row per concept of the concept files, with counts."""
    query = f"""
        WITH given AS (
            SELECT concept AS name, sum(n_rows)::BIGINT AS n_rows,
                coalesce(sum(n_rows) FILTER (curated_concept <> concept), 0)::BIGINT AS n_moved_out
            FROM tallied.samples WHERE concept IS NOT NULL GROUP BY concept
        ),
        curated AS (
            SELECT curated_concept AS name, sum(n_rows)::BIGINT AS n_kept,
                coalesce(sum(n_rows) FILTER (concept <> curated_concept), 0)::BIGINT AS n_moved_in
            FROM tallied.samples WHERE curated_concept IS NOT NULL GROUP BY curated_concept
        )
        SELECT * EXCLUDE (n_rows, n_kept, n_moved_in, n_moved_out), coalesce(n_rows, 0) AS n_rows, coalesce(n_kept, 0) AS n_kept,
            coalesce(n_moved_in, 0) AS n_moved_in, coalesce(n_moved_out, 0) AS n_moved_out
        FROM ({rows_of(schema, files)}) LEFT JOIN given USING (name) LEFT JOIN curated USING (name) ORDER BY name"""
    counts = {
        "n_rows": "Samples that were searched for under this concept",
        "n_kept": "Samples in the curated set under this concept",
        "n_moved_in": "Kept samples that came under another concept",
        "n_moved_out": "Samples of this concept that are kept under another one",
    }
    return View("concepts", "One row per concept: what it means and how many samples it has", query, sentences(schema) | counts)


def neighbors_view(schema: pa.Schema, files: Sequence[str]) -> View:
    """One row per sample and neighbour; positions are replaced by ids.

    Not materialised, so that a condition on sample_id reaches the files: a lookup among a million samples takes 0.02 s, not 0.6 s.
    """
    query = f"""
        WITH graph AS NOT MATERIALIZED ({rows_of(schema, files)}),
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


def macros() -> list[Macro]:
    """Questions that analysts ask every day."""
    return [
        Macro(
            "funnel",
            ("wanted",),
            "The funnel of one crawl: step, reason, n_rows, n_left",
            "SELECT step, reason, n_rows, n_left FROM funnel WHERE crawl = wanted ORDER BY step",
        ),
        Macro(
            "noise_matrix",
            (),
            "Given concept against the best guess: n_rows, and their share of the given concept's rows; off-topic images are (off_topic)",
            """WITH counts AS (
                SELECT concept, CASE verdict WHEN 'off_topic' THEN '(off_topic)' ELSE suggested_concept END AS suggested_concept,
                    sum(n_rows)::BIGINT AS n_rows
                FROM tallied.confusions GROUP BY ALL
            )
            SELECT *, n_rows / sum(n_rows) OVER (PARTITION BY concept) AS share FROM counts
            ORDER BY concept, n_rows DESC, suggested_concept""",
        ),
        Macro(
            "cooccur",
            (),
            "Reasons that hold of the same samples, each pair once: n_rows, and their share of the rows that have the first or the second",
            """WITH listed AS (SELECT reasons, sum(n_rows)::BIGINT AS n_rows FROM tallied.samples GROUP BY reasons),
            single AS (SELECT unnest(reasons) AS reason, n_rows FROM listed),
            totals AS (SELECT reason, sum(n_rows) AS total FROM single GROUP BY reason),
            pairs AS (
                SELECT a.reason AS reason, b.reason AS other_reason, sum(listed.n_rows)::BIGINT AS n_rows
                FROM listed, totals AS a, totals AS b
                WHERE a.reason < b.reason AND list_contains(reasons, a.reason) AND list_contains(reasons, b.reason) GROUP BY ALL
            )
            SELECT pairs.reason, other_reason, n_rows, n_rows / (one.total + other.total - n_rows) AS share
            FROM pairs JOIN totals AS one ON one.reason = pairs.reason JOIN totals AS other ON other.reason = other_reason
            ORDER BY n_rows DESC, pairs.reason, other_reason""",
        ),
    ]
