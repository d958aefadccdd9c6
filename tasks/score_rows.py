"""What `score` reads: the indexed samples with all that is known of them, their pixels, and the vectors of other senses of the words."""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from tasks.core.concepts import Concept
from tasks.core.tables import Artifact, Source
from tasks.methods.alignment import codes, matrix, places
from tasks.methods.pictures import squares
from tasks.methods.prototypes import normalized
from tasks.methods.reviews import applied
from tasks.methods.samples import ALIGNED, Samples, align, align_samples, first_of_each
from tasks.methods.senses import Rivals
from tasks.methods.tars import read_images


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
    records: Source, embeddings: Source, neighbors: Source, matches: Source, duplicates: Source, reviews: Source, names: list[str]
) -> Rows:
    """Everything about the indexed samples, aligned to the index."""
    graph, recorded = neighbors.table(), records.table(["sample_id", "crawl", "shard", "key", "alt_text", "concept", "sha256"])
    embedded, copies = (
        embeddings.table(["sample_id", "image_embedding"]),
        duplicates.table(ALIGNED),
    )
    samples = align_samples(graph, recorded, embedded, copies, names=names)
    recorded = align(recorded, samples.sample_ids)
    matched = align(matches.table(["sample_id", "text_similarity", "concepts", "probabilities"]), samples.sample_ids)
    chances = np.zeros((len(samples.given), len(names)), np.float32)
    for row, (found, values) in enumerate(zip(matched["concepts"].to_pylist(), matched["probabilities"].to_pylist(), strict=True)):
        chances[row, codes(found, names)] = values
    shards = [f"{crawl}/{shard}" for crawl, shard in zip(recorded["crawl"].to_pylist(), recorded["shard"].to_pylist(), strict=True)]
    fit = np.asarray(matched["text_similarity"].to_numpy(), np.float64)
    texts = recorded["alt_text"].to_pylist()
    ids, hashes, concepts = (recorded[name].to_pylist() for name in ("sample_id", "sha256", "concept"))
    verdicts, shown = applied(ids, hashes, concepts, reviews.table().to_pylist())
    chances /= np.maximum(chances.sum(1, keepdims=True), 1e-9)
    reviewed = of_first(codes(shown, names), samples.groups)
    return Rows(samples, shards, recorded["key"].to_pylist(), texts, chances, fit, verdicts, shown, reviewed)


def of_first(reviewed: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n,) int: what people named, -1 = nothing, where the first of a group of copies learns what they said of any of them."""
    told, rows = reviewed.copy(), np.flatnonzero(reviewed >= 0)
    named = dict(zip(groups[rows[::-1]].tolist(), reviewed[rows[::-1]].tolist(), strict=True))  # of several the first counts
    for row in np.flatnonzero(first_of_each(groups) & (reviewed < 0)):
        told[row] = named.get(int(groups[row]), -1)
    return told


def read_rivals(prototypes: Source, embeddings: Source, rows: Rows, known: list[Concept]) -> Rivals | None:
    """The texts and the prototypes that tell senses apart; None where no concept has a distractor that is no concept by itself.

    An image of a distractor that is a concept shows that concept, not another sense.
    """
    concepts = {name.lower() for concept in known for name in (concept.name, *concept.synonyms)}
    found = prototypes.table(["concept", "kind", "name", "embedding"])
    apart = [name.lower() not in concepts for name in found["name"].to_pylist()]
    rivals = found.filter(pc.and_(pc.equal(found["kind"], "distractor"), np.array(apart, bool)))
    if not rivals.num_rows:
        return None
    names, width = [concept.name for concept in known], rows.samples.embeddings.shape[1]
    texts = found.filter(pc.equal(found["kind"], "text"))
    texts = texts.take(places(np.array(names, object), texts["concept"]))
    sentences = align(embeddings.table(["sample_id", "text_embedding"]), rows.samples.sample_ids)["text_embedding"]
    return Rivals(
        normalized(matrix(sentences, width)),
        np.asarray(sentences.is_valid().to_numpy(), bool),
        matrix(texts["embedding"], width),
        matrix(rivals["embedding"], width),
        codes(rivals["concept"].to_pylist(), names),
    )


def read_pixels(rows: Rows, images: Artifact, side: int) -> np.ndarray:
    """(n, side, side, 3) uint8: the stored images of the rows, out of the tar shards."""
    pixels = np.zeros((len(rows.keys), side, side, 3), np.uint8)
    shards = np.array(rows.shards)
    for shard in sorted(set(rows.shards)):
        mine = np.flatnonzero(shards == shard)
        wanted = {rows.keys[row] for row in mine}
        found = dict(read_images(images.path / f"{shard}.tar", wanted))
        pixels[mine] = squares([found[rows.keys[row]] for row in mine], side)
    return pixels


def named_words(known: list[Concept], senses: np.ndarray) -> list[list[str]]:
    """The words that the concept files give to each state; distractors that are no state here speak for none of the concepts."""
    own = [[concept.name, *concept.synonyms] for concept in known]
    taken = {word for names in own for name in names for word in name.lower().split()}
    others = [[word for words in concept.distractors for word in words.lower().split() if word not in taken] for concept in known]
    left = [word for number, words in enumerate(others) if number not in senses for word in words]
    return [*own, *(others[number] for number in senses), left]
