"""Fill the page's sections: what each needs, out of the opened tables and the stages' metrics."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np

from tasks.methods import report_browse as browse
from tasks.methods import report_gain as gain
from tasks.methods import report_label as label
from tasks.methods import report_map as maps
from tasks.methods import report_queries as queries
from tasks.methods import report_tradeoff as tradeoff
from tasks.methods.report_charts import paired_histogram
from tasks.methods.report_drift import drift
from tasks.methods.report_page import MEANINGS, SECTIONS, words
from tasks.methods.report_training import training_curves


def figures(
    connection: duckdb.DuckDBPyConnection, n_concepts: int, crawls: Sequence[str], *, bins: int, most_rows: int, most_matrix: int
) -> dict[str, Any]:
    """Counts, spreads and charts."""
    totals, reasons = queries.totals(connection), queries.rows_per_reason(connection)
    spreads = queries.histograms(connection, bins=bins)
    per_crawl = {row["crawl"]: row for row in queries.rows_per_crawl(connection)}
    per_concept = queries.concept_figures(connection, limit=n_concepts)
    with_verdict = [row for row in per_concept if row["n_judged"]]
    return {
        "crawls": list(crawls),
        "sections": SECTIONS,
        "totals": totals,
        "reasons": reasons,
        "funnel": label.funnel(reasons, [(reason.value, meaning) for reason, meaning in MEANINGS.items()], n_rows=totals["n_rows"]),
        "drift": drift(connection, crawls),
        "per_crawl": [per_crawl[crawl] for crawl in crawls if crawl in per_crawl],
        "worst": sorted(with_verdict, key=lambda row: (row["n_right"] / row["n_judged"], row["concept"]))[:most_rows],
        "matrix": label.matrix(queries.confusion(connection), limit=most_matrix),
        "spreads": [
            {
                "name": name,
                "meaning": label.SPREADS[name],
                "chart": paired_histogram(kept=counts[True], dropped=counts[False], title=f"{words(name)}: kept and dropped rows"),
            }
            for name, counts in spreads.items()
        ],
    }


def bought(
    connection: duckdb.DuckDBPyConnection, evaluated: Mapping[str, Any], runs: Mapping[str, Sequence[Mapping[str, str]]]
) -> dict[str, Any]:
    """What the cleaning bought: `evaluate`'s sentence and figures, the arms by concept, and the training curves."""
    compared = gain.comparisons(evaluated)
    n_clean, accuracies = queries.accuracy_per_concept(connection)
    arms, others = gain.other_measures(evaluated)
    return {
        "verdict": evaluated.get("sentence", "What the cleaning bought is not measured yet."),
        "headline": compared[0].treated if compared else None,
        "n_clean": n_clean,
        "against_share": gain.against_share(evaluated),
        "comparisons": [{"figure": one.figure, "arms": one.arms, "chart": gain.chart(one)} for one in compared],
        "arms": arms,
        "measures": others,
        "encoder": list(gain.flat(evaluated.get("encoder", {}))),
        "by_concept": gain.by_concept(accuracies),
        "curves": training_curves(runs, evaluated),
    }


def judged(connection: duckdb.DuckDBPyConnection, threshold: float | None, *, bins: int, close: int, sheet: int) -> dict[str, Any]:
    """The purity-yield curve, the close calls on both sides of the threshold, and the sheet to look through."""
    points = tradeoff.tradeoff(connection, bins=bins)
    mark = tradeoff.chosen(connection, threshold=threshold) if threshold is not None else None
    near = browse.boundary_rows(connection, threshold=threshold, limit=close) if threshold is not None else ([], [])
    rows = browse.browse_rows(connection, limit=sheet)
    return {
        "tradeoff": {"points": points, "chosen": mark, "chart": tradeoff.chart(points, mark)},
        "boundary": {"kept": near[0], "dropped": near[1]},
        "browse": {"rows": rows, **browse.filters(rows)},
    }


def mapped(reasons: Sequence[str | None], vectors: np.ndarray) -> dict[str, Any]:
    """The map of rows with these first reasons (None: kept) and embeddings (n, d)."""
    groups = [maps.group_of(reason) for reason in reasons]
    points, share = maps.project(vectors)
    found = maps.chart(points, groups)
    return {
        "width": maps.WIDTH,
        "height": maps.HEIGHT,
        "n": len(groups),
        "share": share,
        "groups": [{"name": name, "n": groups.count(name), "dots": dots} for name, dots in found.items()],
    }


def rows_in(context: Any) -> Iterator[dict[str, Any]]:
    """Every row to show, however deep it lies in the context: what has a key in a shard."""
    if isinstance(context, dict):
        if "sample_id" in context and "shard" in context:
            yield context
        else:
            for part in context.values():
                yield from rows_in(part)
    elif isinstance(context, (list, tuple)):
        for part in context:
            yield from rows_in(part)
