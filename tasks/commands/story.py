"""Story: what every table knows of one sample, from its record to the decision about it and what would change that."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from tasks.commands.output import Section, printable
from tasks.commands.tables import find_table, rows_where
from tasks.contracts.scores import CONTRACT as SCORES
from tasks.core.errors import SluiceError
from tasks.core.graph import StageEntry, read_graph
from tasks.core.params import crawl_names, read_params
from tasks.methods.explanations import ways
from tasks.methods.sql import connect

ID_PART = re.compile(r"[0-9a-f]{8,32}")
MAX_SHOWN = 10  # copies and neighbours of a sample that are shown
Row = dict[str, Any]
Look = Callable[..., list[Row] | None]
NOT_MADE = [("", "not made yet: run `dvc repro`")]
SAMPLE = ("url", "alt_text", "concept", "page_url", "extra", "sample_id", "image_id")
RECORD = ("status", "detail", "format", "bytes", "width", "height", "original_width", "original_height", "sha256", "shard", "key")
VALIDITY = ("crawl", "valid", "reasons")
COPIES = ("duplicate_group", "near_duplicate_score", "is_leak", "split", "fold")
MATCH = ("matched_concept", "similarity", "margin", "text_similarity", "is_anchor")
DECISION = (
    *("keep", "reason", "reasons", "curated_concept", "suggested_concept", "verdict", "confidence"),
    *("duplicate_of", "weight", "split", "review_priority", "reviewed"),
)


# Confidence with people's certainty in it, of the rows on which `curate` sets its threshold: their mean from a value on is the purity.
TUNABLE = """
SELECT avg(certain), avg(certain) FILTER (relabelled), avg(certain) FILTER (misread) FROM (
    SELECT CASE WHEN reviewed IN ('confirmed', 'corrected') THEN 1 ELSE confidence END AS certain,
        concept IS NOT NULL AND suggested_concept <> concept AS relabelled,
        list_contains($senses::VARCHAR[], concept) AS misread FROM read_parquet($files)
    WHERE confidence IS NOT NULL AND split <> 'test' AND NOT list_has_any(reasons, ['leak', 'duplicate', 'rejected'])
) WHERE certain >= $confidence
"""


def lookup() -> Look:
    """A function that finds rows of a table by an SQL condition, in the project in the working directory."""
    graph, crawls = read_graph(), crawl_names(read_params())
    return partial(_look, graph, crawls)


def _look(
    graph: Mapping[str, StageEntry], crawls: Sequence[str], table: str, condition: str, values: Row, **options: str
) -> list[Row] | None:
    return rows_where(find_table(table, graph, crawls), condition, values, **options)


def changes(sample: Row) -> list[str]:
    """What would change the decision about a row of the curated table."""
    values = read_params()
    relabelled = sample["concept"] is not None and sample["suggested_concept"] not in (None, sample["concept"])
    misread = sample["concept"] in other_senses()
    return ways(
        sample,
        threshold=threshold_in_force(relabelled=relabelled, misread=misread),
        target=purity_at(sample["confidence"], relabelled=relabelled, misread=misread) if sample["confidence"] is not None else None,
        min_text_score=values["curate"]["min_text_score"],
        validation=values["validate"],
    )


def figures_of(stage: str) -> Row:
    """What the last run of a stage measured; nothing before it ran."""
    metrics = read_graph()[stage].metrics[0].path(read_params())
    return json.loads(metrics.read_text()) if metrics.exists() else {}


def other_senses() -> list[str]:
    """The concepts whose word has another sense, as `score` found."""
    return list(figures_of("score").get("other_senses", []))


def threshold_in_force(*, relabelled: bool, misread: bool) -> float | None:
    """The confidence from which the last `curate` kept rows, relabelled rows, or rows of words with another sense; None before it ran."""
    figures = figures_of("curate")
    names = ["threshold", *["relabel_threshold"] * relabelled, *["sense_threshold"] * misread]
    return max(float(figures[name]) for name in names) if figures else None


def purity_at(confidence: float, *, relabelled: bool, misread: bool) -> float | None:
    """The expected purity of the rows of at least this confidence: the target_purity that moves the threshold here.

    Of all rows, and for a relabelled one, or one whose word has another sense, of those like it if theirs is less.
    """
    table = find_table("curated", read_graph(), crawl_names(read_params()))
    files = [str(table.path(shard)) for shard in table.shards()] if table is not None else []
    if not files:
        return None
    with connect() as connection:
        found = connection.execute(TUNABLE, {"files": files, "confidence": confidence, "senses": other_senses()}).fetchone()
    purities = [
        float(value) for value, counts in zip(found or (), (True, relabelled, misread), strict=False) if counts and value is not None
    ]
    return min(purities, default=None)


def find_records(wanted: str, look: Look) -> list[Row]:
    """The records of one sample, one per crawl that has it. Raises SluiceError if the name fits none, or several samples."""
    conditions = "url = $wanted OR sample_id = $wanted OR image_id = $wanted"
    if ID_PART.fullmatch(wanted.lower()):
        wanted = wanted.lower()
        conditions += " OR starts_with(sample_id, $wanted) OR starts_with(image_id, $wanted)"
    records = look("records", conditions, {"wanted": wanted})
    if records is None:
        raise SluiceError("no crawl has been ingested yet: run `dvc repro` first")
    if not records:
        raise SluiceError(f"no sample has the url or id '{printable(wanted)}': give a url, or 8 or more digits of a sample_id or image_id")
    samples = {record["sample_id"]: record for record in reversed(records)}
    if len(samples) > 1:
        shown = [f"{name} ({record['concept']}, {printable(record['alt_text'])[:40]!r})" for name, record in sorted(samples.items())[:5]]
        more = f" and {len(samples) - 5} more" if len(samples) > 5 else ""
        raise SluiceError(f"'{printable(wanted)}' stands for {len(samples)} samples, give one's id: {', '.join(shown)}{more}")
    return records


def story(records: Sequence[Row], look: Look) -> list[Section]:
    """The sections in the order in which the stages worked."""
    first = records[0]
    key = {"id": first["sample_id"]}

    def row(table: str) -> list[Row] | None:
        return look(table, "sample_id = $id", key)

    matches, curated = row("matches"), row("curated")
    return [
        ("Sample", pairs(first, SAMPLE)),
        *((f"Record in crawl {record['crawl']}", pairs(record, RECORD)) for record in records),
        ("Validity", one_row(row("validity"), VALIDITY)),
        ("Copies", one_row(row("duplicates"), COPIES) + copies(look, first["sample_id"])),
        ("Match", one_row(matches, MATCH) + best(matches)),
        ("Scores", one_row(row("scores"), SCORES.schema.names[2:])),
        ("Verdicts of people", verdicts(look, first["sample_id"])),
        ("Decision", one_row(curated, DECISION)),
        *([("What would change it", [("", way) for way in changes(curated[0])])] if curated else []),
        ("Neighbours", neighbours(look, first["sample_id"])),
    ]


def pairs(row: Row, names: Sequence[str]) -> list[tuple[str, Any]]:
    """The named columns that hold something."""
    return [(name, row[name]) for name in names if row[name] is not None and row[name] != []]


def one_row(rows: list[Row] | None, names: Sequence[str]) -> list[tuple[str, Any]]:
    """The named columns of the sample's row, or why there is none."""
    if rows is None:
        return NOT_MADE
    return pairs(rows[0], names) if rows else [("", "no row: the sample did not get this far")]


def verdicts(look: Look, sample_id: str) -> list[tuple[str, Any]]:
    """Who said what and when, the latest last."""
    found = look("reviews", "sample_id = $id", {"id": sample_id}, order="reviewed_at") or []
    said = [(f"{row['reviewed_at']:%Y-%m-%d %H:%M} UTC", f"{row['verdict']} {row['concept'] or ''} by {row['reviewer']}") for row in found]
    return said or [("", "none yet: `sluice explore` has a queue")]


def copies(look: Look, sample_id: str) -> list[tuple[str, Any]]:
    """The known copies, with the evidence."""
    found = look("pairs", "sample_id = $id OR other_id = $id", {"id": sample_id}, order="similarity DESC, sample_id, other_id, evidence")
    lines = []
    for pair in (found or [])[:MAX_SHOWN]:
        other = pair["other_id"] if pair["sample_id"] == sample_id else pair["sample_id"]
        lines.append((f"{pair['evidence']} copy", f"{other}  similarity {pair['similarity']:.3f}"))
    return lines


def best(matches: list[Row] | None) -> list[tuple[str, Any]]:
    """The best-matching concepts with their probabilities."""
    if not matches:
        return []
    return [(f"  {name}", value) for name, value in zip(matches[0]["concepts"], matches[0]["probabilities"], strict=True)]


def neighbours(look: Look, sample_id: str) -> list[tuple[str, Any]]:
    """The nearest images: similarity, id, concept and url."""
    found = look("neighbors", "sample_id = $id", {"id": sample_id})
    if not found:
        return one_row(found, ())
    places = found[0]["neighbors"][:MAX_SHOWN]
    near = look("neighbors", "list_contains($places, position)", {"places": places}) or []
    ids = {row["position"]: row["sample_id"] for row in near}
    records = look("records", "list_contains($ids, sample_id)", {"ids": list(ids.values())}) or []
    known = {record["sample_id"]: record for record in records}
    lines = []
    for place, similarity in zip(places, found[0]["similarities"], strict=False):
        record = known.get(ids.get(place, ""))
        if record is not None:
            lines.append((f"similarity {similarity:.3f}", f"{record['sample_id']}  {record['concept'] or ''}  {record['url']}"))
    return lines
