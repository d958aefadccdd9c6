"""Read a curated workspace for benchmarks.detectors: what its tables say of the indexed samples, in the order of the index."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.core.concepts import Concept, load_concepts
from tasks.methods.alignment import codes, matrix, padded, places
from tasks.methods.arms import CAPTIONED
from tasks.methods.prototypes import normalized
from tasks.methods.samples import ALIGNED, Samples, Wide, align, align_samples, nearest_usable, shaping_weights

SCORED = ("label_score", "ood_score", "confidence", "text_score")


@dataclass(frozen=True)
class Loaded:
    """n samples: the K concepts that are known, and their names; alt_texts, urls (n,); matched (n, K) chances by prototypes;
    text_embeddings (n, d), zero without a text; text_prototypes (K, d), rivals (m, d), rival_of and rival_names (m,); stored: columns of
    the scores table (n,), and the suggested concepts' numbers. captioned, fits and meant: what `arms.passing` reads of samples, matches
    and prototypes."""

    samples: Samples
    known: list[Concept]
    names: list[str]
    alt_texts: list[str]
    urls: list[str]
    matched: np.ndarray
    text_embeddings: np.ndarray
    has_text: np.ndarray
    text_prototypes: np.ndarray
    rivals: np.ndarray
    rival_of: np.ndarray
    rival_names: list[str]
    stored: dict[str, np.ndarray]
    captioned: pa.Table
    fits: pa.Table
    meant: pa.Table

    def truth(self, file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(kind (n,) str, kind of text (n,) str, number of the concept shown (n,), -1 = none of them, shows another sense of its word (n,)
        bool, which only some crawls know)."""
        known = pq.read_table(file)
        known = known.take(places(pa.array(self.urls), known["url"]))
        shown = codes(known["true_concept"].to_pylist(), self.names)
        other = known["other_sense"].to_numpy() if "other_sense" in known.schema.names else np.zeros(len(self.urls), bool)
        return np.array(known["kind"].to_pylist()), np.array(known["text_kind"].to_pylist()), shown, np.asarray(other, bool)


def load(workspace: Path) -> Loaded:
    """The tables of a workspace; their column names are the contracts'."""
    data = workspace / "data"
    known = load_concepts(data / "concepts")
    names = [concept.name for concept in known]
    graph = read(data / "neighbors")
    records = read(data / "records", ["sample_id", "crawl", "url", "alt_text", "concept", "original_width", "original_height"])
    embedded = read(data / "embeddings", ["sample_id", "image_embedding", "text_embedding"])
    ids = graph["sample_id"]
    copies = read(data / "duplicates", ALIGNED)
    listed = padded(graph["neighbors"], -1, np.int64), padded(graph["similarities"], 0.0, np.float32)
    near = nearest_usable(*listed, shaping_weights(align(copies, ids)) > 0, listed[0].shape[1])
    wide = Wide(*near, normalized(matrix(align(embedded, ids)["image_embedding"])))
    samples = align_samples(ids, graph["crawl"], records, copies, wide, names=names)
    records, scores = align(records, samples.sample_ids), align(read(data / "scores"), samples.sample_ids)
    sentences = align(embedded, samples.sample_ids)["text_embedding"]
    matches = align(read(data / "matches"), samples.sample_ids)
    matched = np.zeros((len(samples.given), len(names)))
    for row, (found, values) in enumerate(zip(matches["concepts"].to_pylist(), matches["probabilities"].to_pylist(), strict=True)):
        matched[row, codes(found, names)] = values
    prototypes = read(data / "prototypes")
    texts = prototypes.filter(pc.equal(prototypes["kind"], "text"))
    texts = texts.take(places(pa.array(names), texts["concept"]))
    rivals = prototypes.filter(pc.equal(prototypes["kind"], "distractor"))
    width = samples.embeddings.shape[1]
    return Loaded(
        samples=samples,
        known=known,
        names=names,
        alt_texts=records["alt_text"].to_pylist(),
        urls=records["url"].to_pylist(),
        matched=matched / np.maximum(matched.sum(1, keepdims=True), 1e-9),
        text_embeddings=normalized(matrix(sentences, width)),
        has_text=np.asarray(sentences.is_valid().to_numpy(), bool),
        text_prototypes=matrix(texts["embedding"], width),
        rivals=matrix(rivals["embedding"], width),
        rival_of=codes(rivals["concept"].to_pylist(), names),
        rival_names=rivals["name"].to_pylist(),
        stored={name: scores[name].to_numpy().astype(np.float64) for name in SCORED}
        | {"suggested": codes(scores["suggested_concept"].to_pylist(), names)},
        captioned=records.append_column("suggested_concept", scores["suggested_concept"]).select(CAPTIONED),
        fits=matches.select(["sample_id", "text_similarity", "is_anchor"]),
        meant=prototypes,
    )


def read(folder: Path, columns: list[str] | None = None) -> pa.Table:
    """All Parquet files of a table, in order of their paths."""
    return pa.concat_tables([pq.ParquetFile(path).read(columns) for path in sorted(folder.rglob("*.parquet"))])
