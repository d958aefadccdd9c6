"""Curate: the decision about every row, with its reasons, out of validity, copies, scores and people's verdicts; the public table.

New thresholds need this stage alone. A sample that several crawls hold is one row, of the first crawl that could fetch it.
"""

import logging
from collections import Counter
from statistics import NormalDist
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.contracts.curated import CONTRACT
from tasks.core.params import Params
from tasks.core.stage import Metrics, main
from tasks.core.tables import Sink, Source
from tasks.methods.alignment import codes, places, wide, wide_rows, wide_schema
from tasks.methods.decisions import doubts, listed, pruned, review_priority, survivors, thresholds, verdicts
from tasks.methods.reasons import Reason
from tasks.methods.reviews import Verdict, applied, believed

log = logging.getLogger(__name__)
INTERVAL = NormalDist().inv_cdf(0.975)  # standard errors on each side of an interval of 95 %
RECORD_COLUMNS = [
    "sample_id", "image_id", "crawl", "shard", "key", "url", "alt_text", "concept", "page_url", "status", "detail", "sha256", "bytes",
    "format", "width", "height", "original_width", "original_height",
]  # fmt: skip
COPY_COLUMNS = ["sample_id", "crawl", "duplicate_group", "near_duplicate_score", "is_leak", "split", "fold"]
SCORE_COLUMNS = [
    "sample_id", "given_probability", "off_topic_probability", "suggested_concept", "confidence", "confidence_error", "label_score",
    "ood_score", "text_score", "other_sense_probability",
]  # fmt: skip


class CurateParams(Params):
    """What the kept set must be: its expected purity, its survivors, its balance."""

    target_purity: Annotated[float, Field(gt=0, le=1)]
    certainty: Annotated[float, Field(ge=0.5, lt=1)]
    min_text_score: Annotated[float, Field(ge=0, le=1)]
    survivor: Literal["best", "first"]
    max_imbalance: Annotated[float, Field(gt=0)]


def curate(
    records: Source,
    validity: Source,
    duplicates: Source,
    matches: Source,
    scores: Source,
    reviews: Source,
    curated: Sink,
    params: CurateParams,
) -> Metrics:
    """Decide about every row. The threshold is set on rows outside the test split, one of each group of copies.

    What a person said outweighs every score, and no fact: a copy stays a copy, a leak a leak.
    """
    rows = joined(records, validity, duplicates, scores)
    has_concept = np.asarray(rows["concept"].is_valid().to_numpy(), bool)
    rows = with_reviews(rows, reviews)
    reviewed = np.array(rows["reviewed"].to_pylist(), object)
    rejected, settled = reviewed == Verdict.DROPPED, np.isin(reviewed, (Verdict.CONFIRMED, Verdict.CORRECTED))
    machine = numbers(rows, "confidence")
    confidence = believed(machine, reviewed.tolist())
    scored = ~np.isnan(confidence)
    groups = codes(rows["duplicate_group"].to_pylist(), sorted(set(rows["duplicate_group"].drop_null().to_pylist())))
    leaks = np.asarray(pc.fill_null(rows["is_leak"], False).to_numpy(), bool)
    alive = survivors(groups, np.nan_to_num(confidence), scored & ~leaks & ~rejected, rule=params.survivor)
    tunable = alive & (rows["split"].to_numpy() != "test")
    tunable = tunable if tunable.any() else alive
    relabelled = np.asarray(pc.fill_null(pc.not_equal(rows["concept"], rows["suggested_concept"]), False).to_numpy(), bool)
    unsaid = np.array([found is None for found in reviewed], bool)
    errors = np.where(unsaid, np.nan_to_num(numbers(rows, "confidence_error")), 0.0)
    margins = NormalDist().inv_cdf(params.certainty) * errors
    apart = {"relabel_threshold": relabelled, "sense_threshold": ~np.isnan(numbers(rows, "other_sense_probability"))}
    groups_apart = [mask[tunable] for mask in apart.values()]
    threshold, *own = thresholds(confidence[tunable], margins[tunable], groups_apart, target=params.target_purity)
    limits = dict(zip(apart, own, strict=True))
    flags = {Reason.LEAK: leaks, Reason.DUPLICATE: scored & ~leaks & ~alive & ~rejected, Reason.REJECTED: rejected}
    flags |= {
        reason: mask & scored & ~settled
        for reason, mask in doubts(
            machine,
            numbers(rows, "off_topic_probability"),
            numbers(rows, "text_score"),
            has_concept,
            threshold=np.max([np.where(mask, limits[name], threshold) for name, mask in apart.items()], axis=0),
            min_text_score=params.min_text_score,
        ).items()
    }
    invalid = np.array([bool(found) for found in rows["reasons"].to_pylist()])
    unscored = ~scored & ~invalid
    candidates = scored & ~invalid & ~np.any(list(flags.values()), axis=0)
    concepts = codes(rows["believed_concept"].to_pylist(), sorted(set(rows["believed_concept"].drop_null().to_pylist())))
    flags[Reason.INVALID] = unscored
    flags[Reason.PRUNED] = pruned(concepts, confidence, candidates, max_imbalance=params.max_imbalance) & ~settled
    keep = candidates & ~flags[Reason.PRUNED]
    reasons = listed(flags, [found or [] for found in rows["reasons"].to_pylist()])
    table = sample_table(rows, keep, confidence, reasons, survivor_ids(rows, groups, alive), has_concept)
    curated.write_whole(table)
    log.info("curate: kept %d of %d rows at confidence %.4f", int(keep.sum()), len(keep), threshold)
    return metrics(table, keep, confidence, errors, {"threshold": threshold} | limits, matches)


def joined(records: Source, validity: Source, duplicates: Source, scores: Source) -> pa.Table:
    """One row per distinct sample, with what the other tables say of it; null where they don't know it."""
    found = wide_rows(records.table(RECORD_COLUMNS))
    checked = validity.table(["sample_id", "crawl", "valid", "reasons"])
    valid = checked["valid"].to_numpy()[places(_keys(found), _keys(checked))]
    order = np.lexsort((np.arange(found.num_rows), ~valid, found["status"].to_numpy() != "ok"))
    ids = found["sample_id"].to_numpy().astype(str)[order]
    found = found.take(np.sort(order[np.unique(ids, return_index=True)[1]]))
    where = places(_keys(found), _keys(checked))
    found = found.append_column("reasons", _taken(checked["reasons"], where))
    copies, judged = duplicates.table(COPY_COLUMNS), scores.table(SCORE_COLUMNS)
    for table, names in ((copies, COPY_COLUMNS[2:]), (judged, SCORE_COLUMNS[1:])):
        where = places(found["sample_id"], table["sample_id"])
        for name in names:
            found = found.append_column(name, _taken(table[name], where))
    return found


def with_reviews(rows: pa.Table, reviews: Source) -> pa.Table:
    """The rows with `reviewed`, the verdict in force, and `believed_concept`: the person's where there is one, else the suggested one."""
    ids, hashes, concepts = (rows[name].to_pylist() for name in ("sample_id", "sha256", "concept"))
    verdicts, shown = applied(ids, hashes, concepts, reviews.table().to_pylist())
    rows = rows.append_column("reviewed", pa.array(verdicts, pa.string()))
    return rows.append_column("believed_concept", pc.coalesce(pa.array(shown, pa.string()), rows["suggested_concept"]))


def survivor_ids(rows: pa.Table, groups: np.ndarray, alive: np.ndarray) -> list[str | None]:
    """The sample_id of the survivor, for every copy that is not it."""
    ids = rows["sample_id"].to_pylist()
    of_group = {int(groups[row]): ids[row] for row in np.flatnonzero(alive)}
    return [None if alive[row] or group < 0 else of_group.get(int(group)) for row, group in enumerate(groups)]


def sample_table(
    rows: pa.Table,
    keep: np.ndarray,
    confidence: np.ndarray,
    reasons: list[list[str]],
    duplicate_of: list[str | None],
    has_concept: np.ndarray,
) -> pa.Table:
    """The public table, in wide types. `confidence` holds people's certainty; the columns of that name and of scores are the machine's."""
    given = numbers(rows, "given_probability")
    weight = np.where(keep, np.nan_to_num(confidence), 0.0)
    priority = review_priority(numbers(rows, "confidence"), given)
    priority = np.where(rows["reviewed"].is_valid().to_numpy() & ~np.isnan(priority), 0.0, priority)  # nothing is left to gain
    made = {
        "keep": pa.array(keep, pa.bool_()),
        "reason": pa.array([found[0] if found else None for found in reasons], pa.string()),
        "reasons": pa.array(reasons, pa.list_(pa.string())),
        "curated_concept": pc.if_else(pa.array(keep), rows["believed_concept"], pa.scalar(None, pa.string())),
        "verdict": pa.array(verdicts(given, numbers(rows, "off_topic_probability"), has_concept), pa.string()),
        "duplicate_of": pa.array(duplicate_of, pa.string()),
        "weight": pa.array(weight, pa.float32()),
        "review_priority": pa.array(priority, pa.float32(), mask=np.isnan(priority)),
    }
    names = CONTRACT.schema.names
    return pa.table([made.get(name, rows[name] if name in rows.schema.names else None) for name in names], wide_schema(CONTRACT.schema))


def metrics(
    table: pa.Table, keep: np.ndarray, confidence: np.ndarray, errors: np.ndarray, limits: dict[str, float], matches: Source
) -> Metrics:
    """Rows per reason, per concept and per verdict, what the kept set promises, and how far the prototypes agree with it."""
    kept = table.filter(pa.array(keep))
    matched = matches.table(["sample_id", "matched_concept"])
    agreeing = _taken(matched["matched_concept"], places(kept["sample_id"], matched["sample_id"]))
    agreement = pc.mean(pc.cast(pc.equal(agreeing, kept["curated_concept"]), pa.int8())).as_py()
    purity = round(float(confidence[keep].mean()), 6) if keep.any() else None
    error = INTERVAL * float(errors[keep].mean()) if keep.any() else 0.0
    return {
        "rows": table.num_rows,
        "kept": int(keep.sum()),
        "reasons": dict(Counter(found for found in table["reason"].to_pylist() if found)),
        "concepts": dict(sorted(Counter(kept["curated_concept"].to_pylist()).items())),
        "verdicts": dict(Counter(found for found in table["verdict"].to_pylist() if found)),
        "reviewed": dict(Counter(found for found in table["reviewed"].to_pylist() if found)),
        "relabelled": sum(
            a != b for a, b in zip(kept["concept"].to_pylist(), kept["curated_concept"].to_pylist(), strict=True) if a is not None
        ),
        "expected_purity": purity,
        "expected_purity_least": round(max(purity - error, 0.0), 6) if purity is not None else None,
        "expected_purity_most": round(min(purity + error, 1.0), 6) if purity is not None else None,
        **{name: round(limit, 6) for name, limit in limits.items()},
        "prototype_agreement": None if agreement is None else round(agreement, 6),
    }


def numbers(rows: pa.Table, name: str) -> np.ndarray:
    """A column as (n,) float64, NaN for null."""
    return np.asarray(pc.cast(rows[name], pa.float64()).to_numpy(), np.float64)


def _taken(column: pa.ChunkedArray, where: np.ndarray) -> pa.ChunkedArray:
    return wide(column).take(pa.array(where, pa.int64(), mask=where < 0))


def _keys(table: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(wide(table["crawl"]), wide(table["sample_id"]), pa.scalar("/", pa.large_string()))


if __name__ == "__main__":
    main(curate)
