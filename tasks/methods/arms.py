"""Choose an arm's rows: what a model is trained on, and under which concept, out of the samples table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.methods.alignment import codes, matrix
from tasks.methods.filters import basic, captioned, clip_margin, clip_score, image_based, text_based

COLUMNS = (
    "sample_id", "crawl", "shard", "key", "sha256", "status", "split", "keep", "reasons", "concept", "curated_concept",
    "suggested_concept", "weight",
)  # fmt: skip
# What the filters look at.
CAPTIONED = ("sample_id", "alt_text", "concept", "suggested_concept", "original_width", "original_height")
CLUSTER_SEED = 0  # the filter is the same for every seed of training
# Arms whose rows have a weight of curation's.
WEIGHTED = ("curated", "not_relabelled")
# Arms of other people's filters, whose rows are given as a mask.
FILTERED = ("basic", "text_based", "image_based", "clip_score", "image_and_clip_score", "clip_margin")
# Those of them that look at image embeddings.
SEEING = ("image_based", "image_and_clip_score", "clip_margin")
# Rows that no arm may learn from: copies of a test set would flatter every arm, forgotten rows are nobody's to use.
NEVER = pa.array(["leak", "forgotten"])
CHOSEN = ("sample_id", "crawl", "shard", "key", "sha256", "concept", "weight")


def choose_rows(samples: pa.Table, *, rows: str, weighted: bool, seed: int, passed: np.ndarray | None = None) -> pa.Table:
    """CHOSEN columns of the training rows of an arm, in the table's order.

    `raw`: every decodable row of the train split under its given concept; in crawls of pairs, which give none, under the concept it was
    matched with, however unsure. `random`: as many raw rows as there are curated ones, drawn by a hash of seed and sample_id.
    `curated`: the kept rows under their curated concept. `not_relabelled`: those of them whose concept curation left as it was given.
    FILTERED: the raw rows that `passed`, (n,) bool over the samples. Weights have mean 1; `weighted=False` makes them all 1.
    Raises ValueError for unknown `rows` and for an arm without a row.
    """
    usable = samples.filter(_usable(samples, "train", passed if rows in FILTERED else None))
    kept = usable.filter(usable["keep"])
    if rows in ("curated", "not_relabelled"):
        if rows == "not_relabelled":
            kept = kept.filter(pc.equal(kept["curated_concept"], pc.coalesce(kept["concept"], kept["curated_concept"])))
        chosen = kept.append_column("label", kept["curated_concept"])
    elif rows in ("raw", "random", *FILTERED):
        labels = pc.coalesce(usable["concept"], usable["suggested_concept"])
        chosen = usable.append_column("label", labels).filter(pc.is_valid(labels))
        if rows == "random":
            draws = hash_keys(chosen["sample_id"], seed=seed)
            chosen = chosen.take(np.sort(np.argsort(draws, kind="stable")[: kept.num_rows]))
    else:
        raise ValueError(f"rows={rows!r} is unknown: use raw, random, curated, not_relabelled or one of {', '.join(FILTERED)}")
    if not chosen.num_rows:
        raise ValueError(f"no row of split train to train on (rows: {rows}): look at the funnel, `sluice query 'FROM funnel'`")
    weights = chosen["weight"].to_numpy().astype(np.float64) if weighted and rows in WEIGHTED else np.ones(chosen.num_rows)
    if not weights.sum() > 0:
        raise ValueError("the weights of the rows are all 0: curate gives every kept row one")
    return _as_chosen(chosen, weights / weights.mean())


def passing(
    samples: pa.Table,
    matches: pa.Table,
    vectors: tuple[pa.ChunkedArray, np.ndarray] | None,
    prototypes: pa.Table,
    *,
    rows: str,
    words: Sequence[str],
    min_words: int,
    image_min_words: int,
    min_characters: int,
    min_side: int,
    max_aspect_ratio: float,
    clip_share: float,
    rows_per_cluster: int,
) -> np.ndarray:
    """(n,) bool over the samples (CAPTIONED columns): who passes the filter of the arm `rows`, one of FILTERED.

    matches: sample_id, text_similarity, is_anchor; vectors: sample_ids and their image embeddings (m, d), for the filters that are SEEING;
    prototypes: concept, kind, embedding. References by image are the anchors. `words` name the concepts. A row's own concept is the given
    one, in crawls of pairs the suggested one. Samples without an image pass none but `text_based`, which reads the text alone. Raises
    ValueError for unknown `rows`, and where `vectors` are missing.
    """
    if rows not in FILTERED:
        raise ValueError(f"rows={rows!r} is no filter: use one of {', '.join(FILTERED)}")
    texts = samples["alt_text"].to_pylist()
    if rows == "text_based":
        return text_based(texts, words)
    if rows == "basic":
        sizes = [samples[name].to_numpy() for name in ("original_width", "original_height")]
        widths, heights = (np.nan_to_num(size.astype(np.float64)) for size in sizes)
        limits = {"min_words": min_words, "min_characters": min_characters, "min_side": min_side}
        return np.asarray(basic(texts, widths, heights, max_aspect_ratio=max_aspect_ratio, **limits) & (widths > 0))
    ids = samples["sample_id"]
    matched = _places(ids, matches["sample_id"])
    fits = clip_score(matches["text_similarity"].to_numpy().astype(np.float64), share=clip_share)
    score = _at(matched, fits)
    if rows == "clip_score":
        return score
    if vectors is None:
        raise ValueError(f"rows={rows!r} needs the image embeddings: pass `vectors`")
    embedded = _places(ids, vectors[0])
    if rows == "clip_margin":
        return _by_margin(samples, embedded, vectors[1], prototypes, clip_share)
    anchors = matches["sample_id"].filter(matches["is_anchor"])
    references = vectors[1][_places(anchors, vectors[0])]
    n_clusters = max(1, len(vectors[1]) // rows_per_cluster)
    near = image_based(vectors[1], references, n_clusters=n_clusters, seed=CLUSTER_SEED)
    image = captioned(texts, min_words=image_min_words, min_characters=min_characters) & _at(embedded, near)
    return np.asarray(image & score if rows == "image_and_clip_score" else image)


def _by_margin(samples: pa.Table, embedded: np.ndarray, vectors: np.ndarray, prototypes: pa.Table, share: float) -> np.ndarray:
    texts = prototypes.filter(pc.equal(prototypes["kind"], "text"))
    own = codes(pc.coalesce(samples["concept"], samples["suggested_concept"]).to_pylist(), texts["concept"].to_pylist())
    passed, seen = np.zeros(len(embedded), bool), embedded >= 0
    if seen.any():
        passed[seen] = clip_margin(vectors[embedded[seen]], matrix(texts["embedding"], vectors.shape[1]), own[seen], share=share)
    return passed


def _at(places: np.ndarray, passed: np.ndarray) -> np.ndarray:
    """(n,) bool: what stands at each place, False at -1."""
    found = np.zeros(len(places), bool)
    found[places >= 0] = passed[places[places >= 0]]
    return found


def _places(ids: pa.ChunkedArray, among: pa.ChunkedArray) -> np.ndarray:
    """(n,) int64: where each id stands among others, -1 where it doesn't."""
    places = pc.index_in(ids, value_set=among.combine_chunks())
    found: np.ndarray = places.fill_null(-1).to_numpy().astype(np.int64)
    return found


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


def banned_rows(samples: pa.Table) -> np.ndarray:
    """(n,) bool: rows that no arm may learn from, by their `reasons`."""
    reasons, banned = samples["reasons"].combine_chunks(), np.zeros(samples.num_rows, bool)
    there = np.array(pc.is_in(pc.list_flatten(reasons), value_set=NEVER).to_numpy(zero_copy_only=False), bool)
    banned[pc.list_parent_indices(reasons).to_numpy()[there]] = True
    return banned


def hash_keys(sample_ids: pa.ChunkedArray, *, seed: int | None = None) -> np.ndarray:
    """(n,) uint64: the first half of each hexadecimal sample_id, hashed with the seed if one is given."""
    ids = sample_ids.to_pylist()
    if seed is None:
        return np.array([int(sample_id[:16], 16) for sample_id in ids], np.uint64)
    digests = [hashlib.blake2b(f"{seed}:{sample_id}".encode(), digest_size=8).digest() for sample_id in ids]
    return np.frombuffer(b"".join(digests), np.uint64)


def _usable(samples: pa.Table, split: str, passed: np.ndarray | None = None) -> np.ndarray:
    wanted = pc.and_(pc.equal(samples["status"], "ok"), pc.equal(samples["split"], split))
    usable: np.ndarray = np.array(wanted.fill_null(False).to_numpy(), bool)
    if passed is not None:
        usable &= passed
    usable &= ~banned_rows(samples)
    return usable


def _as_chosen(table: pa.Table, weights: np.ndarray) -> pa.Table:
    columns = {name: table["label" if name == "concept" else name] for name in CHOSEN}
    return pa.table({**columns, "weight": pa.array(weights, pa.float32())})
