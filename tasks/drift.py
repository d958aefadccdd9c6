"""Drift: how far each crawl lies from all before it, and which concepts off-topic images propose, out of embeddings, matches and decisions.

Crawls are read one after the other; of the earlier ones sums are kept, never rows.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.contracts.drift import CONTRACT as DRIFT
from tasks.contracts.proposals import CONTRACT as PROPOSALS
from tasks.core.concepts import load_concepts
from tasks.core.params import Params
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Sink, Source
from tasks.methods.alignment import codes, matrix, places
from tasks.methods.drift import CrawlStatistics, Moments, drift_between, em_prior
from tasks.methods.proposals import Clump, find_clumps, telling_words
from tasks.methods.text_evidence import words_of

SAMPLE = ["sample_id", "url", "alt_text", "concept", "status", "suggested_concept", "verdict", "reasons", "duplicate_group"]
OFF_TOPIC = "out_of_distribution"
Distance = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
log = logging.getLogger(__name__)


class Limits(Params):
    """The largest value of each measure that is usual."""

    frechet: Distance
    label_shift: Share
    matched_shift: Share
    concepts: Share
    words: Share
    hosts: Share
    noise: Share
    copies: Share


class ProposalParams(Params):
    """What makes a clump of off-topic images a proposal."""

    max_rows: Annotated[int, Field(ge=1)]
    min_similarity: Annotated[float, Field(gt=0, lt=1)]
    min_rows: Annotated[int, Field(ge=2)]
    min_crawls: Annotated[int, Field(ge=1)]
    n_words: Annotated[int, Field(ge=1)]
    prior_rows: Annotated[float, Field(gt=0)]
    n_examples: Annotated[int, Field(ge=1)]


class DriftParams(Params):
    """Limits, and how much is looked at."""

    limits: Limits
    max_rows: Annotated[int, Field(ge=1)]
    ridge: Distance
    proposals: ProposalParams


def drift(
    embeddings: Source,
    matches: Source,
    curated: Source,
    concepts: Artifact,
    drift: Sink,
    proposals: Sink,
    params: DriftParams,
    crawls: list[str],
) -> Metrics:
    """A row per crawl and measure, and a row per concept that could be added."""
    names = [concept.name for concept in load_concepts(concepts.path)]
    before: CrawlStatistics | None = None
    rows: list[dict[str, Any]] = []
    strays: list[pa.Table] = []
    for crawl in crawls:
        samples, matched = of_crawl(curated, crawl, SAMPLE), of_crawl(matches, crawl)
        if not matched.num_rows:
            continue
        found = statistics(samples, matched, embeddings, crawl, names, params.max_rows)
        if before is not None:
            rows += measured(crawl, drift_between(before, found, ridge=params.ridge), params.limits, found.decodable, before.decodable)
        before = found if before is None else before.plus(found)
        strays.append(off_topic(samples, matched, embeddings, crawl, params.proposals.max_rows))
    drift.write_whole(pa.Table.from_pylist(rows, schema=DRIFT.schema))
    words = before.words if before is not None else Counter[str]()
    proposed = list(proposed_concepts(strays, words, crawls, params.proposals))
    proposals.write_whole(pa.Table.from_pylist(proposed, schema=PROPOSALS.schema))
    for row in rows:
        if row["exceeded"]:
            log.warning("drift: %s of crawl %s is %.3g, more than the usual %.3g", row["measure"], row["crawl"], row["value"], row["most"])
    return {"proposals": len(proposed), **{crawl: metrics_of(crawl, rows) for crawl in crawls}}


def of_crawl(table: Source, crawl: str, columns: list[str] | None = None) -> pa.Table:
    """A crawl's rows of a table."""
    empty = table.contract.schema.empty_table().replace_schema_metadata(None)
    parts = [table.read(shard, columns) for shard in table.shards() if shard.crawl == crawl]
    return pa.concat_tables(parts) if parts else empty.select(columns) if columns else empty


def statistics(samples: pa.Table, matched: pa.Table, embeddings: Source, crawl: str, names: list[str], max_rows: int) -> CrawlStatistics:
    """What the crawl's rows that no crawl before it had say; of a large crawl the shares are those of `max_rows` rows."""
    moments = [Moments.of(block) for _, block in vectors_of(embeddings, crawl, matched["sample_id"])]
    total = moments[0]
    for block in moments[1:]:
        total = total.plus(block)
    decodable = samples.filter(pc.is_valid(samples["suggested_concept"]))
    chosen = matched.sort_by("sample_id").slice(0, max_rows)  # ids are hashes: the first are as good as drawn
    at = places(chosen["sample_id"], decodable["sample_id"])
    judged = codes(decodable["suggested_concept"].take(pa.array(np.maximum(at, 0))).to_pylist(), names)
    counted = (at >= 0) & (judged >= 0)
    confusion = np.zeros((len(names), len(names)))
    np.add.at(confusion, (codes(chosen["matched_concept"].to_pylist(), names)[counted], judged[counted]), 1)
    return CrawlStatistics(
        moments=total,
        shares=em_prior(beliefs(chosen, names), np.full(len(names), 1 / len(names))),
        confusion=confusion,
        concepts=Counter(name for name in samples["concept"].to_pylist() if name is not None),
        words=Counter(word for text in samples["alt_text"].to_pylist() for word in set(words_of(text))),
        hosts=Counter(map(host_of, samples["url"].to_pylist())),
        decodable=decodable.num_rows,
        noisy=sum(map(is_noisy, decodable["verdict"].to_pylist(), decodable["reasons"].to_pylist())),
        copies=int(pc.sum(is_copy(decodable)).as_py() or 0),
    )


def beliefs(matched: pa.Table, names: list[str]) -> np.ndarray:
    """(n, k) float32: each row's prototype probabilities of all concepts; of those that it matches least they are 0."""
    result = np.zeros((matched.num_rows, len(names)), np.float32)
    for row, (concepts, probabilities) in enumerate(
        zip(matched["concepts"].to_pylist(), matched["probabilities"].to_pylist(), strict=True)
    ):
        at = codes(concepts, names)
        result[row, at[at >= 0]] = np.asarray(probabilities, np.float32)[at >= 0]
    return result


def vectors_of(embeddings: Source, crawl: str, wanted: pa.ChunkedArray) -> Iterator[tuple[pa.ChunkedArray, np.ndarray]]:
    """sample_ids and image embeddings (m, d) float32 of the wanted rows, shard after shard."""
    for shard in embeddings.shards():
        if shard.crawl == crawl:
            table = embeddings.read(shard, ["sample_id", "image_embedding"])
            table = table.filter(pc.is_in(table["sample_id"], value_set=wanted.combine_chunks()))
            if table.num_rows:
                yield table["sample_id"], matrix(table["image_embedding"])


def is_noisy(verdict: str | None, reasons: list[str]) -> bool:
    """Whether a row shows another concept than the given one, or none."""
    return verdict != "right" if verdict is not None else OFF_TOPIC in reasons


def is_copy(samples: pa.Table) -> pa.ChunkedArray:
    """Whether each row resembles one that came before."""
    return pc.fill_null(pc.not_equal(samples["duplicate_group"], samples["sample_id"]), False)


def host_of(url: str) -> str:
    """The host of an address; empty for one that has none, as a forgotten row's."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def measured(crawl: str, values: dict[str, float], limits: Limits, n_rows: int, n_before: int) -> list[dict[str, Any]]:
    """A crawl's rows of the drift table."""
    most = limits.model_dump()
    common = {"crawl": crawl, "n_rows": n_rows, "n_rows_before": n_before}
    rounded = {name: round(value, 6) for name, value in values.items()}
    return [
        {**common, "measure": name, "value": value, "most": most[name], "exceeded": value > most[name]} for name, value in rounded.items()
    ]


def metrics_of(crawl: str, rows: list[dict[str, Any]]) -> dict[str, float]:
    """A crawl's measures, and how many are beyond their limits; the first crawl has none."""
    own = [row for row in rows if row["crawl"] == crawl]
    return {"exceeded": sum(row["exceeded"] for row in own), **{row["measure"]: row["value"] for row in own}}


def off_topic(samples: pa.Table, matched: pa.Table, embeddings: Source, crawl: str, max_rows: int) -> pa.Table:
    """Off-topic rows of a crawl without copies, with their vectors: at most `max_rows`."""
    off = pa.array([OFF_TOPIC in reasons for reasons in samples["reasons"].to_pylist()], pa.bool_())
    rows = samples.filter(pc.and_(off, pc.invert(is_copy(samples)))).sort_by("sample_id").slice(0, max_rows)
    parts = [(ids, block) for ids, block in vectors_of(embeddings, crawl, rows["sample_id"])]
    ids = pa.chunked_array([chunk for found, _ in parts for chunk in found.chunks], pa.string())
    vectors = pa.array([vector for _, block in parts for vector in block], pa.list_(pa.float32()))
    at, match_at = places(ids, rows["sample_id"]), places(ids, matched["sample_id"])
    table = pa.table({"sample_id": ids, "vector": vectors, "crawl": pa.array([crawl] * len(ids), pa.string())})
    for name in ("url", "alt_text"):
        table = table.append_column(name, rows[name].take(pa.array(at)))
    return table.append_column("matched_concept", matched["matched_concept"].take(pa.array(match_at)))


def proposed_concepts(strays: list[pa.Table], words: Counter[str], crawls: list[str], params: ProposalParams) -> Iterator[dict[str, Any]]:
    """Rows of the proposals table, the largest clump first."""
    rows = pa.concat_tables(strays).sort_by("sample_id").slice(0, params.max_rows) if strays else None
    if rows is None or not rows.num_rows:
        return
    for clump in find_clumps(matrix(rows["vector"]), min_similarity=params.min_similarity, min_rows=params.min_rows):
        members = rows.take(pa.array(clump.members))
        brought = set(members["crawl"].to_pylist())
        if len(brought) >= params.min_crawls:
            yield proposal(members, clump, words, [crawl for crawl in crawls if crawl in brought], params)


def proposal(members: pa.Table, clump: Clump, words: Counter[str], brought: list[str], params: ProposalParams) -> dict[str, Any]:
    """One row of the proposals table."""
    texts = [set(words_of(text)) for text in members["alt_text"].to_pylist()]
    others = words - Counter(word for text in texts for word in text)
    matched = Counter(members["matched_concept"].to_pylist())
    return {
        "proposal_id": members["sample_id"][0].as_py(),
        "words": telling_words(texts, others, prior_rows=params.prior_rows, n_words=params.n_words),
        "n_rows": members.num_rows,
        "crawls": brought,
        "n_hosts": len(set(map(host_of, members["url"].to_pylist()))),
        "cohesion": round(clump.cohesion, 6),
        "nearest_concept": min(matched, key=lambda name: (-matched[name], name)),
        "sample_ids": members["sample_id"].to_pylist()[: params.n_examples],
    }


if __name__ == "__main__":
    main(drift)
