"""Choose an arm's rows: what a model is trained on, and under which concept, out of the samples table."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

COLUMNS = (
    "sample_id", "crawl", "shard", "key", "sha256", "status", "split", "keep", "reasons", "concept", "curated_concept",
    "suggested_concept", "weight",
)  # fmt: skip
# Rows that no arm may learn from: copies of a test set would flatter every arm, forgotten rows are nobody's to use.
NEVER = pa.array(["leak", "forgotten"])
CHOSEN = ("sample_id", "crawl", "shard", "key", "sha256", "concept", "weight")


def choose_rows(samples: pa.Table, *, rows: str, weighted: bool, seed: int) -> pa.Table:
    """CHOSEN columns of the training rows of an arm, in the table's order.

    `raw`: every decodable row of the train split under its given concept; in crawls of pairs, which give none, under the concept it was
    matched with, however unsure. `random`: as many raw rows as there are curated ones, drawn by a hash of seed and sample_id.
    `curated`: the kept rows under their curated concept. Weights have mean 1; `weighted=False` makes them all 1.
    Raises ValueError for unknown `rows` and for an arm without a row.
    """
    usable = samples.filter(_usable(samples, "train"))
    kept = usable.filter(usable["keep"])
    if rows == "curated":
        chosen = kept.append_column("label", kept["curated_concept"])
    elif rows in ("raw", "random"):
        labels = pc.coalesce(usable["concept"], usable["suggested_concept"])
        chosen = usable.append_column("label", labels).filter(pc.is_valid(labels))
        if rows == "random":
            draws = hash_keys(chosen["sample_id"], seed=seed)
            chosen = chosen.take(np.sort(np.argsort(draws, kind="stable")[: kept.num_rows]))
    else:
        raise ValueError(f"rows={rows!r} is unknown: use raw, random or curated")
    if not chosen.num_rows:
        raise ValueError(f"no row of split train to train on (rows: {rows}): look at the funnel, `sluice query 'FROM funnel'`")
    weights = chosen["weight"].to_numpy().astype(np.float64) if weighted and rows == "curated" else np.ones(chosen.num_rows)
    if not weights.sum() > 0:
        raise ValueError("the weights of the rows are all 0: curate gives every kept row one")
    return _as_chosen(chosen, weights / weights.mean())


def validation_rows(samples: pa.Table) -> pa.Table:
    """CHOSEN columns of the kept rows of the val split under their curated concept: the same for every arm, so that curves compare."""
    usable = samples.filter(_usable(samples, "val"))
    kept = usable.filter(usable["keep"])
    return _as_chosen(kept.append_column("label", kept["curated_concept"]), np.ones(kept.num_rows))


def all_concepts(samples: pa.Table) -> list[str]:
    """Every concept that any arm may be trained on, sorted: all arms get the same head."""
    usable = samples.filter(_usable(samples, "train"))
    columns = [usable[name] for name in ("concept", "curated_concept", "suggested_concept")]
    found = pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())
    return sorted(pc.unique(found.drop_null()).to_pylist())


def hash_keys(sample_ids: pa.ChunkedArray, *, seed: int | None = None) -> np.ndarray:
    """(n,) uint64: the first half of each hexadecimal sample_id, hashed with the seed if one is given."""
    ids = sample_ids.to_pylist()
    if seed is None:
        return np.array([int(sample_id[:16], 16) for sample_id in ids], np.uint64)
    digests = [hashlib.blake2b(f"{seed}:{sample_id}".encode(), digest_size=8).digest() for sample_id in ids]
    return np.frombuffer(b"".join(digests), np.uint64)


def _usable(samples: pa.Table, split: str) -> np.ndarray:
    wanted = pc.and_(pc.equal(samples["status"], "ok"), pc.equal(samples["split"], split))
    usable: np.ndarray = np.array(wanted.fill_null(False).to_numpy(), bool)
    reasons = samples["reasons"].combine_chunks()
    banned = np.array(pc.is_in(pc.list_flatten(reasons), value_set=NEVER).to_numpy(zero_copy_only=False), bool)
    usable[pc.list_parent_indices(reasons).to_numpy()[banned]] = False
    return usable


def _as_chosen(table: pa.Table, weights: np.ndarray) -> pa.Table:
    columns = {name: table["label" if name == "concept" else name] for name in CHOSEN}
    return pa.table({**columns, "weight": pa.array(weights, pa.float32())})
