"""Make prototypes of every concept and match images against them: CAPro (Qin et al., NeurIPS 2023), offline on fixed embeddings.

The definition's text picks a few clean anchors by the texts of their visual neighbours; the anchors' images are the visual prototype.
So a wrong sense that fills most of a concept does not become its picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.methods.blocks import blocks
from tasks.methods.groups import first_of_each


def concept_prompts(name: str, definition: str, synonyms: Sequence[str], parent: str | None) -> list[str]:
    """The sentences whose mean embedding is a concept's text prototype; the parent goes with the name, to tell senses apart."""
    kind = f", a kind of {parent}" if parent else ""
    return [f"a photo of a {name}{kind}", f"{name}: {definition}", *(f"a photo of a {synonym}" for synonym in synonyms)]


def normalized(vectors: np.ndarray) -> np.ndarray:
    """(n, d) float32 of unit length; a zero vector stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)


def mean_prototypes(embeddings: np.ndarray, members: np.ndarray, *, n_prototypes: int) -> np.ndarray:
    """(n_prototypes, d) float32: normalised mean of the embeddings of each member number; members (n,) int, -1 = none."""
    total = np.zeros((n_prototypes, embeddings.shape[1]), np.float64)
    for part in blocks(len(members), 8 * embeddings.shape[1], embeddings):
        chosen = members[part] >= 0
        np.add.at(total, members[part][chosen], embeddings[part][chosen])
    return normalized(total)


def smooth_texts(
    texts: np.ndarray, has_text: np.ndarray, neighbors: np.ndarray, similarities: np.ndarray, *, n_neighbors: int
) -> np.ndarray:
    """(b, d) float32: mean text embedding of each image's visual neighbours, by similarity; zero without any.

    texts (n, d), has_text (n,) bool; neighbors (b, m) int, -1 = none, and similarities (b, m) of some or all of the n rows. Its own text
    has no part: a lone wrong one is averaged out (section 3.3).
    CAPro makes the graph symmetric first (the greater of both directions) and takes the neighbours out of four times as many, re-ranked by
    those they share; here each image asks its own nearest ones.
    """
    result = np.zeros((len(neighbors), texts.shape[1]), np.float32)
    for j in range(min(n_neighbors, neighbors.shape[1])):
        there = np.maximum(neighbors[:, j], 0)
        weight = np.where((neighbors[:, j] >= 0) & has_text[there], np.maximum(similarities[:, j], 0.0), 0.0)
        result += weight[:, None].astype(np.float32) * texts[there]
    return normalized(result)


def text_fit(
    embeddings: np.ndarray, smoothed: np.ndarray, given: np.ndarray, text_prototypes: np.ndarray, rivals: np.ndarray, rival_of: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How well each sample fits its concept's definition: (fit (n,) float64, passes (n,) bool).

    Fit is the mean cosine of the image and of its neighbours' texts to the concept's text prototype; rows pass that are nearer to it
    than to every other sense of the word (rivals (m, d), rival_of (m,) int: whose). Rows of given -1 have fit 0 and don't pass.
    """
    known = given >= 0
    own = text_prototypes[np.maximum(given, 0)]
    fit = ((embeddings * own).sum(1) + (smoothed * own).sum(1)) / 2
    rival = np.full(len(given), -np.inf)
    for vector, concept in zip(rivals, rival_of, strict=True):
        mine = given == concept
        rival[mine] = np.maximum(rival[mine], (embeddings[mine] @ vector + smoothed[mine] @ vector) / 2)
    return np.where(known, fit, 0.0), known & (fit > rival)


def choose_anchors(
    fit: np.ndarray, passes: np.ndarray, given: np.ndarray, groups: np.ndarray, usable: np.ndarray, *, n_anchors: int, max_share: float
) -> np.ndarray:
    """(n,) bool: per concept the best-fitting usable rows, at most `n_anchors` and at most `max_share` of the concept, at least one.

    Of each group of copies the first may be one; where no row passes its rivals, all may.
    """
    anchors, first = np.zeros(len(fit), bool), first_of_each(groups)
    for concept in np.unique(given[given >= 0]):
        mine = np.flatnonzero((given == concept) & usable)
        pool = [rows for rows in (mine[first[mine] & passes[mine]], mine[first[mine]], mine) if len(rows)]
        if pool:
            n = max(1, min(n_anchors, int(max_share * len(mine))))
            anchors[pool[0][np.argsort(-fit[pool[0]], kind="stable")[:n]]] = True
    return anchors


def fit_temperature(similarities: np.ndarray, *, target: float) -> float:
    """The softmax temperature at which rows of similarities (n, n_concepts) have a mean greatest probability of `target`."""
    low, high = 1e-3, 10.0
    if not len(similarities) or similarities.shape[1] < 2:
        return 0.05
    for _ in range(40):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if prototype_probs(similarities, middle).max(1).mean() > target else (low, middle)
    return float(np.sqrt(low * high))


def prototype_probs(similarities: np.ndarray, temperature: float) -> np.ndarray:
    """(n, n_concepts) float32: softmax of similarities over the temperature (eq. 6)."""
    logits = similarities / temperature
    chance = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(chance / chance.sum(1, keepdims=True), np.float32)


def cleaned(mixed_probs: np.ndarray, given: np.ndarray, anchors: np.ndarray, *, min_probability: float, min_keep: float) -> np.ndarray:
    """(n,) int: concept after CAPro's rule (section 3.5), -1 = dropped.

    mixed_probs (n, n_concepts): half classifier, half prototypes. Anchors keep their concept; else a greatest probability of at least
    `min_probability` decides; else the given concept stays where it has at least `min_keep`.
    """
    best = mixed_probs.argmax(1)
    own = mixed_probs[np.arange(len(given)), np.maximum(given, 0)]
    kept = np.where((given >= 0) & (own >= min_keep), given, -1)
    return np.where(anchors & (given >= 0), given, np.where(mixed_probs.max(1) >= min_probability, best, kept))
