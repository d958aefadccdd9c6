"""Seven rows by hand, opened as the report opens its tables."""

from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.contracts.curated import CONTRACT as SAMPLES
from tasks.contracts.matches import CONTRACT as MATCHES
from tasks.contracts.pairs import CONTRACT as PAIRS
from tasks.contracts.predictions import CONTRACT as PREDICTIONS
from tasks.contracts.scores import CONTRACT as SCORES
from tasks.methods.report_queries import open_tables


def sample(sample_id: str, **changes: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(SAMPLES.schema.names)
    row = {"sample_id": sample_id, "image_id": f"i{sample_id}", "crawl": "one", "shard": "00000", "key": sample_id, "status": "ok"}
    row |= {"url": "http://a.test/x.jpg", "alt_text": "text", "concept": "cat", "suggested_concept": "cat", "verdict": "right"}
    row |= {"keep": True, "reasons": [], "curated_concept": "cat", "weight": 1.0, "label_score": 0.9, "bytes": 100, "split": "train"}
    return nothing | row | changes


def dropped(sample_id: str, *reasons: str, **changes: Any) -> dict[str, Any]:
    return sample(sample_id, keep=False, reason=reasons[0], reasons=list(reasons), curated_concept=None, **changes)


ROWS = [
    sample("a", review_priority=0.2),
    sample("b", concept="dog", verdict="wrong_concept", label_score=0.1, review_priority=0.9),
    sample("c", curated_concept="dog", concept="dog", suggested_concept="dog", crawl="two", url="https://B.test:80/y"),
    dropped("d", "duplicate", label_score=0.95),
    dropped("e", "label_noise", "mismatched_text", concept="dog", verdict="wrong_concept", label_score=0.05, review_priority=0.5),
    dropped("f", "out_of_distribution", verdict="off_topic", label_score=1.0),
    dropped("g", "timeout", status="failed", verdict=None, suggested_concept=None, label_score=None, bytes=None, split=None),
    dropped("h", "forgotten", verdict=None, suggested_concept=None, label_score=None, alt_text=""),
]
MATCHED = [("a", 0.7), ("b", 0.9), ("d", 0.8)]


def tables(tmp_path: Any) -> duckdb.DuckDBPyConnection:
    """Samples and matches by hand, two pairs; predictions and scores empty."""
    matches = [
        {"margin": 0.1, "concepts": ["cat"], "probabilities": [1.0], "text_similarity": None}
        | {"sample_id": name, "crawl": "one", "matched_concept": "cat", "similarity": alike, "is_anchor": name != "d"}
        for name, alike in MATCHED
    ]
    pairs = [
        {"sample_id": "d", "other_id": "a", "crawl": "one", "evidence": "exact", "similarity": 1.0},
        {"sample_id": "h", "other_id": "a", "crawl": "one", "evidence": "exact", "similarity": 0.9},
    ]
    found = {}
    for name, contract, rows in (("samples", SAMPLES, ROWS), ("matches", MATCHES, matches), ("pairs", PAIRS, pairs)):
        pq.write_table(pa.Table.from_pylist(rows, schema=contract.schema), tmp_path / f"{name}.parquet")
        found[name] = ([str(tmp_path / f"{name}.parquet")], contract.schema)
    return open_tables({**found, "scores": ([], SCORES.schema), "predictions": ([], PREDICTIONS.schema)})
