"""Match: every image against prototypes of every concept, out of definitions, embeddings and the kNN graph.

The text prototypes come from the concept files; the visual ones from clean anchors, so that a wrong sense of a word that fills most of a
concept does not become its picture. Rows of the test split are matched but shape nothing.
"""

import logging
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks.contracts.matches import CONTRACT as MATCHES
from tasks.contracts.prototypes import CONTRACT as PROTOTYPES
from tasks.core.concepts import Concept, load_concepts
from tasks.core.errors import ParamsError
from tasks.core.files import scratch_folder
from tasks.core.params import Params
from tasks.core.settings import DEFAULTS, Settings
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Sink, Source
from tasks.methods.alignment import places, wide_rows
from tasks.methods.blocks import blocks, make_file, products
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
from tasks.methods.samples import Samples
from tasks.sample_rows import read_samples, read_vectors

ID_BYTES, NAME_BYTES = 36, 16  # of a sample's id, and of a crawl's or a concept's name, as Arrow holds them
COLUMN_BYTES = 6 * 8 + 6  # given, groups, folds, weights, members, fit; and what is true or false
ITERATED_ARRAYS = 6  # n x n_concepts at once in CAPro's iteration
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
    known = load_concepts(concepts.path)
    check_memory(neighbors, len(known), params, settings)
    check_concepts(records, known)
    text, rivals, rival_of = text_prototypes(known, encoder)
    names = [concept.name for concept in known]
    with scratch_folder(matches.root) as folder:
        rows = read_samples(records, embeddings, neighbors, duplicates, names, folder, params.n_neighbors)
        texts, has_text = read_vectors(embeddings, rows.sample_ids, "text_embedding", folder)
        given = given_or_nearest(rows, text)
        fit, passes = definition_fit(rows, texts, has_text, given, (text, rivals, rival_of), params, folder)
        usable, share = rows.weights > 0, params.max_anchor_share
        anchors = choose_anchors(fit, passes, given, rows.groups, usable, n_anchors=params.n_anchors, max_share=share)
        members = np.where(anchors, given, -1)
        counts = np.bincount(members[anchors], minlength=len(known))
        visual = np.where(counts[:, None] > 0, mean_prototypes(rows.embeddings, members, n_prototypes=len(known)), text)
        if params.cleaning.rounds:
            visual = cleaned_prototypes(rows, given, anchors, text, capro_settings(params))
        prototypes.write_whole(prototype_table(known, text, visual, counts, rivals, rival_of))
        temperature = fit_temperature(products(rows.embeddings, np.flatnonzero(anchors), visual), target=params.anchor_confidence)
        table = match_table(rows, names, visual, temperature, anchors, texts, has_text, params)
    matches.write_whole(wide_rows(table))
    log.info("match: %d samples against %d concepts, %d anchors", len(given), len(known), int(anchors.sum()))
    right = (places(table["matched_concept"], pa.array(names)) == rows.given)[rows.given >= 0]
    return {
        "rows": len(given),
        "anchors": {name: int(count) for name, count in zip(names, counts, strict=True)},
        "temperature": round(temperature, 6),
        "agreement": round(float(right.mean()), 6) if len(right) else None,
    }


def check_memory(neighbors: Source, n_concepts: int, params: MatchParams, settings: Settings) -> None:
    """Raise MemoryCeilingError if what is held doesn't fit under the ceiling (`held_bytes`)."""
    n = neighbors.n_rows()
    way_out = "match fewer crawls" + (", or set match.cleaning.rounds to 0 in params.yaml" if params.cleaning.rounds else "")
    settings.require_memory(held_bytes(n, n_concepts, params), f"matching {n} samples against {n_concepts} concepts", way_out)


def held_bytes(n: int, n_concepts: int, params: MatchParams) -> int:
    """Bytes that are held of n samples at once; embeddings and neighbour lists are none of them, blocks of their rows don't grow with n.

    Beside the columns there are, while the matches are written, the table, its rows of one crawl, and these sorted; while the temperature
    is fitted, five arrays of the anchors' similarities. CAPro's iteration holds what is as wide as the concepts.
    """
    n_matches, n_anchors = min(params.n_matches, n_concepts), min(n, params.n_anchors * n_concepts)
    match_bytes = ID_BYTES + 3 * NAME_BYTES + n_matches * (NAME_BYTES + 4) + 12
    iterated = n * ITERATED_ARRAYS * 8 * n_concepts if params.cleaning.rounds else 0
    return n * (ID_BYTES + NAME_BYTES + COLUMN_BYTES + 3 * match_bytes) + n_anchors * 5 * 4 * n_concepts + iterated


def given_or_nearest(rows: Samples, text: np.ndarray) -> np.ndarray:
    """(n,) int64: the given concept; without one that whose text prototype (n_concepts, d) is nearest to the image."""
    given = rows.given.copy()
    for part in blocks(len(given), 4 * max(text.shape), rows.embeddings):
        if (given[part] < 0).any():
            given[part] = np.where(given[part] < 0, (rows.embeddings[part] @ text.T).argmax(1), given[part])
    return given


def definition_fit(
    rows: Samples,
    texts: np.ndarray,
    has_text: np.ndarray,
    given: np.ndarray,
    spoken: tuple[np.ndarray, np.ndarray, np.ndarray],
    params: MatchParams,
    folder: Path,
) -> tuple[np.ndarray, np.ndarray]:
    """(fit (n,) float64, passes (n,) bool) of image and neighbours' texts to the definition; `spoken` as `text_prototypes` gives it."""
    fit, passes, told = np.zeros(len(given)), np.zeros(len(given), bool), has_text & (rows.weights > 0)
    smoothed = make_file(folder / "smoothed", texts.shape, np.float32) if params.cleaning.rounds else None
    for part in blocks(len(given), 4 * texts.shape[1], rows.embeddings, texts):
        around = smooth_texts(texts, told, rows.neighbors[part], rows.similarities[part], n_neighbors=params.n_neighbors)
        fit[part], passes[part] = text_fit(rows.embeddings[part], around, given[part], *spoken)
        if smoothed is not None:
            smoothed[part] = around
    return fit if smoothed is None else match_fit(fit, smoothed, given, rows.weights > 0, spoken[0], capro_settings(params)), passes


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
    names: list[str],
    visual: np.ndarray,
    temperature: float,
    anchors: np.ndarray,
    texts: np.ndarray,
    has_text: np.ndarray,
    params: MatchParams,
) -> pa.Table:
    """Rows of the matches table, in the order of the index."""
    concepts, parts = pa.array(names, pa.string()), [MATCHES.schema.empty_table()]
    for part in blocks(len(anchors), max(4 * visual.shape[1], 8 * len(names)), rows.embeddings, texts):
        images = rows.embeddings[part]
        similarities = images @ visual.T
        order = np.argsort(-similarities, axis=1, kind="stable")[:, : params.n_matches]
        chances = np.take_along_axis(prototype_probs(similarities, temperature), order, 1)
        best = np.take_along_axis(similarities, order, 1)
        margin = best[:, 0] - best[:, 1] if best.shape[1] > 1 else np.ones(len(best))
        columns = [
            rows.sample_ids.slice(part.start, len(best)),
            rows.crawls.slice(part.start, len(best)),
            concepts.take(pa.array(order[:, 0])),
            pa.array(best[:, 0], pa.float32()),
            pa.array(margin, pa.float32()),
            pa.array((images * texts[part]).sum(1), pa.float32(), mask=~has_text[part]),
            pa.array(anchors[part]),
            as_lists(concepts.take(pa.array(order.reshape(-1))), order.shape[1]),
            as_lists(pa.array(chances.reshape(-1)), order.shape[1]),
        ]
        parts.append(pa.table(columns, schema=MATCHES.schema))
    return pa.concat_tables(parts)


def as_lists(values: pa.Array, length: int) -> pa.Array:
    """A column of lists of that length."""
    return pa.FixedSizeListArray.from_arrays(values, length).cast(pa.list_(values.type))


if __name__ == "__main__":
    main(match)
