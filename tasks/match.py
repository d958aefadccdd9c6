"""Match: every image against prototypes of every concept, out of definitions, embeddings and the kNN graph.

The text prototypes come from the concept files; the visual ones from clean anchors, so that a wrong sense of a word that fills most of a
concept does not become its picture. Rows of the test split are matched but shape nothing.
"""

import logging
from typing import Annotated

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks.contracts.matches import CONTRACT as MATCHES
from tasks.contracts.prototypes import CONTRACT as PROTOTYPES
from tasks.core.concepts import Concept, load_concepts
from tasks.core.errors import ParamsError
from tasks.core.params import Params
from tasks.core.settings import DEFAULTS, Settings
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Sink, Source
from tasks.methods.alignment import matrix
from tasks.methods.capro import CaproSettings, clean, match_fit
from tasks.methods.clip import load_encoder
from tasks.methods.prototypes import (
    choose_anchors,
    concept_prompts,
    fit_temperature,
    mean_prototypes,
    normalized,
    prototype_probs,
    smooth_texts,
    text_fit,
)
from tasks.methods.samples import ALIGNED, Samples, align, align_samples

LINK_BYTES, WIDEST_GRAPH = 12, 50  # of a neighbour and its similarity; neighbours per sample that index makes by itself
log = logging.getLogger(__name__)


class CleaningParams(Params):
    """CAPro's iteration; with 0 rounds the anchors' mean stays the visual prototype."""

    rounds: Annotated[int, Field(ge=0)]
    k_near: Annotated[int, Field(ge=1)]
    k_mean: Annotated[int, Field(ge=1)]
    distance_share: Annotated[float, Field(ge=0, le=1)]
    max_gallery: Annotated[int, Field(ge=1)]
    classifier_share: Annotated[float, Field(ge=0, le=1)]
    min_probability: Annotated[float, Field(gt=0, le=1)]
    min_keep_share: Annotated[float, Field(ge=0, le=1)]
    bootstrap_share: Annotated[float, Field(ge=0, le=1)]
    momentum: Annotated[float, Field(ge=0, le=1)]
    min_change: Annotated[float, Field(ge=0, le=1)]
    l2: Annotated[float, Field(ge=0)]
    probe_steps: Annotated[int, Field(ge=1)]


class MatchParams(Params):
    """How anchors are chosen, how prototypes are cleaned, and how many matches are kept."""

    n_neighbors: Annotated[int, Field(ge=1)]
    n_anchors: Annotated[int, Field(ge=1)]
    max_anchor_share: Annotated[float, Field(gt=0, le=1)]
    anchor_confidence: Annotated[float, Field(gt=0, lt=1)]
    n_matches: Annotated[int, Field(ge=1)]
    cleaning: CleaningParams


def match(
    records: Source,
    embeddings: Source,
    neighbors: Source,
    duplicates: Source,
    encoder: Artifact,
    concepts: Artifact,
    prototypes: Sink,
    matches: Sink,
    params: MatchParams,
    settings: Settings = DEFAULTS,
) -> Metrics:
    """Prototypes of all concepts, and the best-matching concepts of every indexed sample."""
    check_memory(embeddings, neighbors, settings)
    known = load_concepts(concepts.path)
    check_concepts(records, known)
    embedded = embeddings.table()
    rows = align_samples(
        neighbors.table(),
        records.table(["sample_id", "concept"]),
        embedded,
        duplicates.table(ALIGNED),
        names=[concept.name for concept in known],
    )
    sentences = align(embedded, rows.sample_ids)["text_embedding"]
    has_text = np.asarray(sentences.is_valid().to_numpy(), bool)
    texts = normalized(matrix(sentences, rows.embeddings.shape[1]))
    text, rivals, rival_of = text_prototypes(known, encoder)
    given = np.where(rows.given >= 0, rows.given, (rows.embeddings @ text.T).argmax(1))
    smoothed = smooth_texts(texts, has_text & (rows.weights > 0), rows.neighbors, rows.similarities, n_neighbors=params.n_neighbors)
    fit, passes = text_fit(rows.embeddings, smoothed, given, text, rivals, rival_of)
    if params.cleaning.rounds:
        fit = match_fit(fit, smoothed, given, text, capro_settings(params))
    usable, share = rows.weights > 0, params.max_anchor_share
    anchors = choose_anchors(fit, passes, given, rows.groups, usable, n_anchors=params.n_anchors, max_share=share)
    members = np.where(anchors, given, -1)
    counts = np.bincount(members[anchors], minlength=len(known))
    visual = np.where(counts[:, None] > 0, mean_prototypes(rows.embeddings, members, n_prototypes=len(known)), text)
    if params.cleaning.rounds:
        visual = cleaned_prototypes(rows, given, anchors, text, capro_settings(params))
    prototypes.write_whole(prototype_table(known, text, visual, counts, rivals, rival_of))
    similarities = rows.embeddings @ visual.T
    own_fit = np.where(has_text, (rows.embeddings * texts).sum(1), np.nan)
    temperature = fit_temperature(similarities[anchors], target=params.anchor_confidence)
    matches.write_whole(match_table(rows, known, similarities, temperature, anchors, own_fit, params))
    log.info("match: %d samples against %d concepts, %d anchors", len(given), len(known), int(anchors.sum()))
    return {
        "rows": len(given),
        "anchors": {concept.name: int(count) for concept, count in zip(known, counts, strict=True)},
        "temperature": round(temperature, 6),
        "agreement": round(float((similarities.argmax(1) == rows.given)[rows.given >= 0].mean()), 6) if (rows.given >= 0).any() else None,
    }


def check_memory(embeddings: Source, neighbors: Source, settings: Settings) -> None:
    """Raise MemoryCeilingError if image and text embeddings as float32 and the neighbour lists don't fit under the ceiling."""
    n = neighbors.n_rows()
    shards = embeddings.shards()
    first = embeddings.read(shards[0], ["image_embedding"])["image_embedding"] if shards else []
    width = len(first[0]) if len(first) else 0
    needed = n * (8 * width + LINK_BYTES * WIDEST_GRAPH)
    settings.require_memory(needed, f"matching {n} samples of {width} numbers", "match fewer crawls, or embed with a narrower encoder")


def capro_settings(params: MatchParams) -> CaproSettings:
    """What CAPro's iteration is told."""
    p = params.cleaning
    return CaproSettings(
        k_near=p.k_near,
        k_mean=p.k_mean,
        distance_share=p.distance_share,
        max_gallery=p.max_gallery,
        anchor_confidence=params.anchor_confidence,
        classifier_share=p.classifier_share,
        min_probability=p.min_probability,
        min_keep_share=p.min_keep_share,
        bootstrap_share=p.bootstrap_share,
        n_neighbors=params.n_neighbors,
        momentum=p.momentum,
        n_rounds=p.rounds,
        min_change=p.min_change,
        l2=p.l2,
        n_steps=p.probe_steps,
    )


def cleaned_prototypes(rows: Samples, given: np.ndarray, anchors: np.ndarray, text: np.ndarray, settings: CaproSettings) -> np.ndarray:
    """(n_concepts, d) visual prototypes of the rows that CAPro's rule keeps or relabels."""
    found = clean(rows.embeddings, given, anchors, text, rows.neighbors, rows.similarities, rows.weights, rows.folds, settings=settings)
    trained = rows.weights > 0
    moved, dropped = (found.concepts != given)[trained] & (found.concepts >= 0)[trained], (found.concepts < 0)[trained]
    log.info("match: %d rounds of cleaning, %d rows relabelled, %d dropped", found.n_rounds, int(moved.sum()), int(dropped.sum()))
    return found.prototypes


def check_concepts(records: Source, known: list[Concept]) -> None:
    """Raise ParamsError for a given concept that no concept file defines."""
    names = {concept.name for concept in known}
    for table in records.tables(["crawl", "concept"]):
        for crawl, concept in zip(table["crawl"].to_pylist(), table["concept"].to_pylist(), strict=True):
            if concept is not None and concept not in names:
                raise ParamsError(
                    f"concept '{concept}' of crawl '{crawl}' is in no concept file (known: {', '.join(sorted(names))}): define it there"
                )


def text_prototypes(known: list[Concept], encoder: Artifact) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(concepts' text prototypes (n_concepts, d), distractors' (m, d), whose each distractor is (m,))."""
    prompts = [concept_prompts(concept.name, concept.definition, concept.synonyms, concept.parent) for concept in known]
    rivals = [(number, words) for number, concept in enumerate(known) for words in concept.distractors]
    sentences = [sentence for found in prompts for sentence in found] + [f"a photo of {words}" for _, words in rivals]
    encoded = np.asarray(load_encoder(encoder.path, threads=1).encode_texts(sentences), np.float32)
    owners = np.array([number for number, found in enumerate(prompts) for _ in found], np.int64)
    text = mean_prototypes(encoded[: len(owners)], owners, n_prototypes=len(known))
    return text, normalized(encoded[len(owners) :]), np.array([number for number, _ in rivals], np.int64)


def prototype_table(
    known: list[Concept], text: np.ndarray, visual: np.ndarray, counts: np.ndarray, rivals: np.ndarray, rival_of: np.ndarray
) -> pa.Table:
    """Rows of the prototypes table, concept after concept."""
    words = [words for concept in known for words in concept.distractors]
    found = [(concept.name, "text", concept.name, vector, 0) for concept, vector in zip(known, text, strict=True)]
    found += [(concept.name, "visual", concept.name, visual[i], int(counts[i])) for i, concept in enumerate(known)]
    found += [(known[i].name, "distractor", name, vector, 0) for i, name, vector in zip(rival_of, words, rivals, strict=True)]
    unique = {row[:3]: row for row in found}
    ordered = [unique[key] for key in sorted(unique)]
    return pa.Table.from_pylist(
        [{"concept": c, "kind": k, "name": w, "embedding": v.tolist(), "n_images": n} for c, k, w, v, n in ordered],
        schema=PROTOTYPES.schema,
    )


def match_table(
    rows: Samples,
    known: list[Concept],
    similarities: np.ndarray,
    temperature: float,
    anchors: np.ndarray,
    own_fit: np.ndarray,
    params: MatchParams,
) -> pa.Table:
    """Rows of the matches table, in the order of the index."""
    names = np.array([concept.name for concept in known], object)
    order = np.argsort(-similarities, axis=1, kind="stable")[:, : params.n_matches]
    chances = np.take_along_axis(prototype_probs(similarities, temperature), order, 1)
    best = np.take_along_axis(similarities, order, 1)
    margin = best[:, 0] - best[:, 1] if best.shape[1] > 1 else np.ones(len(best))
    return pa.table(
        [
            rows.sample_ids,
            rows.crawls,
            pa.array(names[order[:, 0]], pa.string()),
            pa.array(best[:, 0], pa.float32()),
            pa.array(margin, pa.float32()),
            pa.array(own_fit, pa.float32(), mask=np.isnan(own_fit)),
            pa.array(anchors, pa.bool_()),
            pa.array(names[order].tolist(), pa.list_(pa.string())),
            pa.array(chances.tolist(), pa.list_(pa.float32())),
        ],
        schema=MATCHES.schema,
    )


if __name__ == "__main__":
    main(match)
