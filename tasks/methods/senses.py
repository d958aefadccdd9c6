"""Tell a word's own sense from another one that shares the word: pictures and texts that are nearer to a distractor.

A sense that fills most of a word's pictures is what neighbours, folds and crowds agree on; only the definition can object to it (CAPro,
Qin et al., NeurIPS 2023). An encoder that has never met a distractor's words puts it anywhere, so a distractor has a say only where
pictures and texts, each held against it by itself, agree on who belongs to it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tasks.methods.blocks import products
from tasks.methods.prototypes import fit_temperature, prototype_probs

ONE_SIDED = 1.645  # standard errors below which the true value lies with a chance of 5 %
FEWEST_TEXTS = 10  # of a concept; a correlation of fewer says nothing


class Rivals(NamedTuple):
    """texts (n, d) of unit length, zero where has_text (n,) bool is false; prototypes (K, d) of the definitions; vectors (m, d) of the
    distractors, owners (m,) int: whose word each shares."""

    texts: np.ndarray
    has_text: np.ndarray
    prototypes: np.ndarray
    vectors: np.ndarray
    owners: np.ndarray


class Senses(NamedTuple):
    """concepts (S,) int whose word has another sense here; chances (n,) float64 that a row of theirs shows it, NaN for all other rows;
    agreement (m,) float64 of pictures and texts about each distractor, NaN where there are too few texts."""

    concepts: np.ndarray
    chances: np.ndarray
    agreement: np.ndarray


def other_senses(
    embeddings: np.ndarray,
    given: np.ndarray,
    believed: np.ndarray,
    weights: np.ndarray,
    rivals: Rivals,
    *,
    min_agreement: float,
    confidence: float,
) -> Senses:
    """Which words have another sense here, and the chance that a row shows it, out of its image and its own text.

    embeddings (n, d) of unit length; given (n,) int, -1 = none; believed (n,) int: the state that all other signals put a row into.
    Agreement is measured among rows of a concept that are believed to show it: images of other concepts are unlike the definition in text
    and image too, whatever the distractor. weights (n,), 0 = shapes nothing. A distractor has a say where its agreement is at least
    `min_agreement`; the temperature is fitted per concept so that the mean greatest probability is `confidence`.
    """
    agreement = np.full(len(rivals.vectors), np.nan)
    for number, (vector, concept) in enumerate(zip(rivals.vectors, rivals.owners, strict=True)):
        mine = (given == concept) & (believed == concept) & rivals.has_text & (weights > 0)
        direction = rivals.prototypes[concept] - vector
        rows = np.flatnonzero(mine)
        agreement[number] = least_correlation(products(embeddings, rows, direction), products(rivals.texts, rows, direction))
    chances = np.full(len(given), np.nan)
    heard = np.nan_to_num(agreement, nan=-1.0) >= min_agreement
    concepts = np.unique(rivals.owners[heard])
    for concept in concepts:
        mine = np.flatnonzero(given == concept)
        vectors = np.vstack([rivals.prototypes[concept], rivals.vectors[heard & (rivals.owners == concept)]])
        fit = products(embeddings, mine, vectors) + products(rivals.texts, mine, vectors)
        fit = np.column_stack([fit[:, 0], fit[:, 1:].max(1)])
        temperature = fit_temperature(fit[weights[mine] > 0], target=confidence)
        chances[mine] = prototype_probs(fit, temperature)[:, 1]
    return Senses(concepts, chances, agreement)


def least_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Lower end of a one-sided 95 % interval of the correlation of two series (m,), by Fisher's z; NaN for fewer than ten pairs, 0 if
    one is constant."""
    if len(first) < FEWEST_TEXTS:
        return float("nan")
    if first.std() <= 0 or second.std() <= 0:
        return 0.0
    found = float(np.clip(np.corrcoef(first, second)[0, 1], -0.999999, 0.999999))
    return float(np.tanh(np.arctanh(found) - ONE_SIDED / np.sqrt(len(first) - 3)))


def split_targets(targets: np.ndarray, given: np.ndarray, senses: Senses) -> np.ndarray:
    """(n, K + S) float32: targets (n, K) of which the given concept's share is divided between it and its other sense; given (n,) int."""
    split = np.concatenate([targets, np.zeros((len(targets), len(senses.concepts)), targets.dtype)], axis=1)
    for number, concept in enumerate(senses.concepts):
        mine = np.flatnonzero(given == concept)
        own = split[mine, concept]
        split[mine, targets.shape[1] + number] = own * senses.chances[mine]
        split[mine, concept] = own * (1 - senses.chances[mine])
    return np.asarray(split, np.float32)
