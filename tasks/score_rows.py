"""What `score` reads: the indexed samples with all that is known of them, their pixels, and the vectors of other senses of the words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.concepts import Concept
from tasks.core.tables import Artifact, Source
from tasks.methods.alignment import codes, matrix, places
from tasks.methods.groups import first_of_each
from tasks.methods.pixel_files import Decoding, decode_tar, reserve
from tasks.methods.reviews import applied
from tasks.methods.samples import Samples, align
from tasks.methods.senses import Rivals
from tasks.sample_rows import read_samples, read_vectors


@dataclass(frozen=True)
class Rows:
    """The samples with what scoring needs beyond them, in the order of the index."""

    samples: Samples
    shards: list[str]
    keys: list[str]
    alt_texts: list[str]
    matched: np.ndarray
    text_similarity: np.ndarray
    verdicts: list[str | None]
    shown: list[str | None]
    reviewed: np.ndarray


def read_rows(
    records: Source,
    embeddings: Source,
    neighbors: Source,
    matches: Source,
    duplicates: Source,
    reviews: Source,
    names: list[str],
    folder: Path,
    n_neighbors: int,
) -> Rows:
    """Everything about the indexed samples, aligned to the index; embeddings and `n_neighbors` neighbours at most lie in `folder`."""
    samples = read_samples(records, embeddings, neighbors, duplicates, names, folder, n_neighbors)
    recorded = records.table(["sample_id", "crawl", "shard", "key", "alt_text", "concept", "sha256"])
    recorded = align(recorded, samples.sample_ids)
    matched = align(matches.table(["sample_id", "text_similarity", "concepts", "probabilities"]), samples.sample_ids)
    shards = [f"{crawl}/{shard}" for crawl, shard in zip(recorded["crawl"].to_pylist(), recorded["shard"].to_pylist(), strict=True)]
    fit = np.asarray(matched["text_similarity"].to_numpy(), np.float64)
    texts = recorded["alt_text"].to_pylist()
    ids, hashes, concepts = (recorded[name].to_pylist() for name in ("sample_id", "sha256", "concept"))
    verdicts, shown = applied(ids, hashes, concepts, reviews.table().to_pylist())
    reviewed = of_first(codes(shown, names), samples.groups)
    return Rows(samples, shards, recorded["key"].to_pylist(), texts, matched_chances(matched, names), fit, verdicts, shown, reviewed)


def matched_chances(matched: pa.Table, names: list[str]) -> np.ndarray:
    """(n, n_concepts) float32: the probabilities in the matches table, drawn up to a sum of 1; 0 for concepts that it doesn't have."""
    owners = np.repeat(np.arange(matched.num_rows), pc.list_value_length(matched["concepts"]).to_numpy())
    concepts = places(pc.list_flatten(matched["concepts"]), pa.array(names, pa.string()))
    chances = np.zeros((matched.num_rows, len(names)), np.float32)
    chances[owners[concepts >= 0], concepts[concepts >= 0]] = pc.list_flatten(matched["probabilities"]).to_numpy()[concepts >= 0]
    chances /= np.maximum(chances.sum(1, keepdims=True), 1e-9)
    return chances


def of_first(reviewed: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n,) int: what people named, -1 = nothing, where the first of a group of copies learns what they said of any of them."""
    told, rows = reviewed.copy(), np.flatnonzero(reviewed >= 0)
    named = dict(zip(groups[rows[::-1]].tolist(), reviewed[rows[::-1]].tolist(), strict=True))  # of several the first counts
    for row in np.flatnonzero(first_of_each(groups) & (reviewed < 0)):
        told[row] = named.get(int(groups[row]), -1)
    return told


def read_rivals(prototypes: Source, embeddings: Source, rows: Rows, known: list[Concept], folder: Path) -> Rivals | None:
    """The texts, in a file of `folder`, and the prototypes that tell senses apart; None where no distractor is another sense."""
    found = prototypes.table(["concept", "kind", "name", "embedding"])
    distractors = found.filter(pc.equal(found["kind"], "distractor"))
    rivals = distractors.filter(pa.array(no_concepts(distractors["name"].to_pylist(), known), pa.bool_()))
    if not rivals.num_rows:
        return None
    names, width = [concept.name for concept in known], rows.samples.embeddings.shape[1]
    texts = found.filter(pc.equal(found["kind"], "text"))
    texts = texts.take(places(pa.array(names, pa.string()), texts["concept"]))
    return Rivals(
        *read_vectors(embeddings, rows.samples.sample_ids, "text_embedding", folder),
        matrix(texts["embedding"], width),
        matrix(rivals["embedding"], width),
        codes(rivals["concept"].to_pylist(), names),
    )


def no_concepts(distractors: Sequence[str], known: Sequence[Concept]) -> np.ndarray:
    """(m,) bool: which distractors are no concept by themselves. An image of one that is shows that concept, not another sense."""
    concepts = {name.lower() for concept in known for name in (concept.name, *concept.synonyms)}
    return np.array([name.lower() not in concepts for name in distractors], bool)


def read_pixels(rows: Rows, images: Artifact, side: int, folder: Path) -> np.ndarray:
    """(n, side, side, 3) uint8: the stored images of the rows, out of the tar shards, in a file of `folder`."""
    file, shape = folder / "pixels", (len(rows.keys), side, side, 3)
    reserve(file, shape)
    wanted: dict[str, dict[str, list[int]]] = {}
    for row, (shard, key) in enumerate(zip(rows.shards, rows.keys, strict=True)):
        wanted.setdefault(shard, {}).setdefault(key, []).append(row)
    for shard in sorted(wanted):
        decode_tar(Decoding(images.path / f"{shard}.tar", wanted[shard]), file, shape)
    return np.memmap(file, np.uint8, "r", shape=shape)


def named_words(known: list[Concept], senses: np.ndarray) -> list[list[str]]:
    """The words that the concept files give to each state; distractors that are no state here speak for none of the concepts."""
    own = [[concept.name, *concept.synonyms] for concept in known]
    taken = {word for names in own for name in names for word in name.lower().split()}
    others = [[word for words in concept.distractors for word in words.lower().split() if word not in taken] for concept in known]
    left = [word for number, words in enumerate(others) if number not in senses for word in words]
    return [*own, *(others[number] for number in senses), left]
