"""Report: one offline HTML page about the dataset, out of its tables, pictures and metrics.

The page also shows the seconds and versions of this machine's runs, so two machines' pages differ there.
"""

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.core.concepts import Concept, load_concepts
from tasks.core.errors import ParamsError, ShardError
from tasks.core.files import write_atomically
from tasks.core.lineage import last_runs, read_runs
from tasks.core.params import Params
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Source
from tasks.methods import report_label as label
from tasks.methods import report_picks as picks
from tasks.methods import report_queries as queries
from tasks.methods.alignment import matrix
from tasks.methods.report_browse import concept_rows
from tasks.methods.report_concepts import concept_cards
from tasks.methods.report_contents import bought, figures, judged, mapped, rows_in
from tasks.methods.report_dependence import TOLD, dependence, truth_correlations
from tasks.methods.report_page import MEANINGS, render
from tasks.methods.report_pictures import thumbnail
from tasks.methods.tars import read_images

Count = Annotated[int, Field(ge=1)]
Rows = list[dict[str, Any]]
CORRELATED = (*queries.SCORES, "confidence", "probe_score", "vote_score", "confident_score", "knn_ood_score", "mahalanobis_score")
log = logging.getLogger(__name__)


class ReportParams(Params):
    """How much the page shows; `max_megabytes` stops a page that no browser would like."""

    side: Count
    quality: Annotated[int, Field(ge=1, le=100)]
    kept_pictures: Count
    reason_pictures: Count
    browse_pictures: Count
    boundary_pictures: Count
    concept_pictures: Count
    anchor_pictures: Count
    confused_pairs: Count
    confused_pictures: Count
    copy_pairs: Count
    review_rows: Count
    max_concepts: Count
    max_matrix: Count
    max_rows: Count
    bins: Count
    curve_points: Count
    map_points: Count
    max_megabytes: Annotated[float, Field(gt=0)]


def report(
    curated: Source,
    pairs: Source,
    prototypes: Source,
    matches: Source,
    scores: Source,
    predictions: Source,
    embeddings: Source,
    images: Artifact,
    concepts: Artifact,
    models: Artifact,
    curate: Artifact,
    evaluate: Artifact,
    index: Artifact,
    crawls: list[str],
    params: ReportParams,
) -> Metrics:
    """Write the page to index.path. Raises ParamsError if it gets larger than params allow."""
    tables = {"samples": curated, "pairs": pairs, "matches": matches, "scores": scores, "predictions": predictions}
    known = load_concepts(concepts.path)
    evaluated = read_json(evaluate.path)
    with queries.open_tables({name: (files_of(source), source.contract.schema) for name, source in tables.items()}) as connection:
        context = figures(connection, len(known), crawls, bins=params.bins, most_rows=params.max_rows, most_matrix=params.max_matrix)
        context |= rows_to_show(connection, known, prototypes, params)
        context |= bought(connection, evaluated, read_curves(models.path))
        context |= judged(
            connection,
            read_json(curate.path).get("threshold"),
            bins=params.curve_points,
            close=params.boundary_pictures,
            sheet=params.browse_pictures,
        )
        context["map"] = map_of(connection, embeddings, params.map_points)
        context |= label_of(connection, curated, known, context, params)
    context |= making()
    n_pictures = add_pictures(context, images.path, params)
    page = render(context)
    megabytes = len(page.encode()) / 1e6
    if megabytes > params.max_megabytes:
        raise ParamsError(f"the report has {megabytes:.1f} MB, more than report.max_megabytes: show fewer pictures or lower report.side")
    with write_atomically(index.path) as path:
        path.write_text(page)
    log.info("%s: %.1f MB with %d pictures", index.path, megabytes, n_pictures)
    return {"pictures": n_pictures}


def files_of(source: Source) -> list[str]:
    """The table's files, each checked against its contract."""
    for shard in source.shards():
        source.read(shard, columns=[source.contract.schema.names[0]])
    return [str(source.path(shard)) for shard in source.shards()]


def read_json(path: Path) -> dict[str, Any]:
    """A stage's metrics; nothing if it has not run."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def read_curves(folder: Path) -> dict[str, list[dict[str, str]]]:
    """The training curves, by ARM-SEED."""
    return {path.parent.name: list(csv.DictReader(path.read_text().splitlines())) for path in sorted(folder.glob("*/curve.csv"))}


def rows_to_show(
    connection: duckdb.DuckDBPyConnection, known: Sequence[Concept], prototypes: Source, params: ReportParams
) -> dict[str, Any]:
    """The rows behind the pictures, and what is known of each concept's prototype."""
    dropped, reasons = picks.dropped_rows(connection, limit=params.reason_pictures), queries.rows_per_reason(connection)
    evidence = {row["evidence"]: row["n"] for row in queries.evidence_figures(connection)}
    pairs = picks.copy_rows(connection, limit=params.copy_pairs)
    return {
        "kept": picks.kept_rows(connection, limit=params.kept_pictures),
        "dropped": [
            {"reason": reason.value, "meaning": meaning, "n": reasons[reason.value]["n"], "rows": dropped[reason.value]}
            for reason, meaning in MEANINGS.items()
            if dropped.get(reason.value)
        ],
        "copies": [
            {"evidence": kind, "n": n, "pairs": [{"similarity": alike, "rows": rows} for one, alike, rows in pairs if one == kind]}
            for kind, n in evidence.items()
        ],
        "confused": [
            {"given": given, "suggested": suggested, "n": n, "rows": rows}
            for given, suggested, n, rows in picks.confused_rows(connection, pairs=params.confused_pairs, limit=params.confused_pictures)
        ],
        "review": picks.review_rows(connection, limit=params.review_rows),
        "concepts": concept_cards(
            words=[{"name": one.name, "definition": one.definition, "distractors": one.distractors} for one in known],
            figures=queries.concept_figures(connection, limit=len(known)),
            anchors=picks.anchor_rows(connection, limit=params.anchor_pictures),
            prototypes=prototypes.table().to_pylist(),
            limit=params.max_concepts,
        ),
        "per_concept": concept_rows(connection, limit=params.concept_pictures),
        "hidden_concepts": max(0, len(known) - params.max_concepts),
    }


def map_of(connection: duckdb.DuckDBPyConnection, embeddings: Source, limit: int) -> dict[str, Any]:
    """The map of at most `limit` pictures: those of the smallest sample_id, which is a hash and so a random draw."""
    sql = f"SELECT sample_id, reason FROM samples WHERE {queries.PICTURED} ORDER BY sample_id LIMIT $limit"
    reasons = {row["sample_id"]: row["reason"] for row in queries.ask(connection, sql, limit=limit)}
    wanted, found = pa.array(reasons, pa.string()), dict[str, Any]()
    for table in embeddings.tables(["sample_id", "image_embedding"]):
        rows = table.filter(pc.is_in(table["sample_id"], value_set=wanted))
        for sample_id, vector in zip(rows["sample_id"].to_pylist(), matrix(rows["image_embedding"]), strict=True):
            found.setdefault(sample_id, vector)
    ids = [sample_id for sample_id in reasons if sample_id in found]
    vectors = np.array([found[sample_id] for sample_id in ids], np.float32)
    return mapped([reasons[sample_id] for sample_id in ids], vectors if len(ids) else np.zeros((0, 1)))


def label_of(
    connection: duckdb.DuckDBPyConnection,
    curated: Source,
    known: Sequence[Concept],
    context: Mapping[str, Any],
    params: ReportParams,
) -> dict[str, Any]:
    """The nutrition label."""
    totals = context["totals"]
    n_hosts, hosts = queries.host_figures(connection, limit=params.max_rows)
    splits, names = queries.rows_per_split(connection), [one.name for one in known]
    found = {
        "metadata": label.metadata(totals=totals, crawls=context["crawls"], concepts=names, splits=splits),
        "provenance": label.provenance(totals=totals, n_hosts=n_hosts, reasons=context["reasons"]),
        "truth": label.truth(totals=totals, n_clean=context["n_clean"]),
        "n_hosts": n_hosts,
        "hosts": hosts,
        "variables": queries.variable_figures(connection, curated.contract.schema),
        "columns": CORRELATED,
        "correlations": queries.correlations(connection, CORRELATED),
        "told": TOLD,
        "dependence": dependence(connection),
        "truth_correlations": truth_correlations(connection, (*queries.SCORES, "confidence")),
    }
    return {"label": found}


def making() -> dict[str, Any]:
    """Seconds per stage, versions and machine, out of the lineage."""
    runs = sorted(last_runs(read_runs()).values(), key=lambda run: run["started"])
    longest = max([run["seconds"] for run in runs], default=1.0) or 1.0
    return {"machine": label.machine(runs), "runs": [{**run, "share": run["seconds"] / longest} for run in runs]}


def add_pictures(context: dict[str, Any], folder: Path, params: ReportParams) -> int:
    """Give every row to show its `picture`, each tar opened once. Raises ShardError if a tar lacks one."""
    rows = list(rows_in(context))
    wanted: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        wanted.setdefault((row["crawl"], row["shard"]), set()).add(row["key"])
    made: dict[tuple[str, str, str], str] = {}
    for (crawl, shard), keys in sorted(wanted.items()):
        try:
            for key, data in read_images(folder / crawl / f"{shard}.tar", keys):
                made[crawl, shard, key] = thumbnail(data, side=params.side, quality=params.quality)
        except (OSError, ValueError) as error:
            raise ShardError(f"pictures of shard {crawl}/{shard} can't be read ({error}): run `dvc repro` again") from None
    for row in rows:
        row["picture"] = made[row["crawl"], row["shard"], row["key"]]
    return len(made)


if __name__ == "__main__":
    main(report)
