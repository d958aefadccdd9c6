"""Clean by cross-modality aligned prototypes, offline and iterated: CAPro (Qin et al., NeurIPS 2023) on fixed embeddings.

Text matching picks a few clean anchors of each concept; their mean is the visual prototype; classifier and prototypes, each smoothed over
the visual neighbours (collective bootstrapping), keep, relabel or drop every other row; kept rows move the prototypes, and so on. Text
prototypes and anchors never change, or a wrong sense could take a concept over step by step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tasks.methods.probes import out_of_fold_log_probs
from tasks.methods.prototypes import cleaned, fit_temperature, mean_prototypes, normalized, prototype_probs
from tasks.methods.reranking import reciprocal_distances


@dataclass(frozen=True)
class CaproSettings:
    """k_near, k_mean, distance_share of the re-ranking, over at most max_gallery rows of a concept; anchor_confidence to which the
    prototypes' temperature is fitted; classifier_share (alpha); min_probability (gamma) for a relabel; min_keep_share of the belief under
    which the given concept is dropped, or 1 / K of K concepts where that is more, save for two, of which 1 / 2 would be strict;
    bootstrap_share (beta) and n_neighbors of the bootstrapping; momentum of the prototypes; at most n_rounds, fewer once less than
    min_change of the rows of positive weight change; l2, n_steps of the probe."""

    k_near: int
    k_mean: int
    distance_share: float
    max_gallery: int
    anchor_confidence: float
    classifier_share: float
    min_probability: float
    min_keep_share: float
    bootstrap_share: float
    n_neighbors: int
    momentum: float
    n_rounds: int
    min_change: float
    l2: float
    n_steps: int


class Cleaned(NamedTuple):
    """concepts (n,) int after the rule, -1 = dropped; mixed (n, K) beliefs that it was applied to; prototypes (K, d); n_rounds done."""

    concepts: np.ndarray
    mixed: np.ndarray
    prototypes: np.ndarray
    n_rounds: int


def match_fit(
    fit: np.ndarray, smoothed: np.ndarray, given: np.ndarray, usable: np.ndarray, texts: np.ndarray, settings: CaproSettings
) -> np.ndarray:
    """(n,) float64 in [0, 1], higher = fits better: within each concept, the mean rank of the cosine fit and of the re-ranked text match.

    fit (n,) as `prototypes.text_fit` gives it; smoothed (n, d): the neighbours' texts; given (n,) int, -1 = none; usable (n,) bool: the
    others shape nothing, and stand among these by their cosine fit; texts (K, d). Without a concept, or one that is usable, it is 0.
    Of a concept of more than `max_gallery` rows only the best by fit are re-ranked, the others keep their rank by fit behind them.
    """
    result = np.zeros(len(given))
    for concept in np.unique(given[(given >= 0) & usable]):
        mine = np.flatnonzero((given == concept) & usable)
        by_fit = _rising_ranks(fit[mine])
        near = mine[np.argsort(-fit[mine], kind="stable")[: settings.max_gallery]]
        distances = reciprocal_distances(
            texts[concept][None, :],
            smoothed[near],
            k_near=settings.k_near,
            k_mean=settings.k_mean,
            share=settings.distance_share,
        )[0]
        by_match = by_fit * (len(mine) - len(near)) / len(mine)
        by_match[np.searchsorted(mine, near)] = 1 - (1 - _rising_ranks(-distances)) * len(near) / len(mine)
        result[mine] = (by_fit + by_match) / 2
        others = np.flatnonzero((given == concept) & ~usable)
        result[others] = _among(fit[others], fit[mine])
    return result


def bootstrapped(
    mixed: np.ndarray, neighbors: np.ndarray, similarities: np.ndarray, usable: np.ndarray, settings: CaproSettings
) -> np.ndarray:
    """(n, K), rows sum to 1: each belief drawn by beta towards the similarity-weighted mean of its visual neighbours' (eq. 11).

    neighbors (n, m) int64, -1 = none; usable (n,) bool: whose beliefs count. Rows without such a neighbour keep their own.
    """
    there = np.maximum(neighbors[:, : settings.n_neighbors], 0)
    weight = np.maximum(similarities[:, : settings.n_neighbors], 0.0) * ((neighbors[:, : settings.n_neighbors] >= 0) & usable[there])
    total = weight.sum(1, keepdims=True)
    around = np.zeros(mixed.shape)
    for column in range(there.shape[1]):
        around += weight[:, column, None] * mixed[there[:, column]]
    around = np.where(total > 0, around / np.maximum(total, 1e-12), mixed)
    return np.asarray((1 - settings.bootstrap_share) * mixed + settings.bootstrap_share * around)


def clean(
    embeddings: np.ndarray,
    given: np.ndarray,
    anchors: np.ndarray,
    texts: np.ndarray,
    neighbors: np.ndarray,
    similarities: np.ndarray,
    weights: np.ndarray,
    folds: np.ndarray,
    *,
    settings: CaproSettings,
) -> Cleaned:
    """Iterate prototypes, beliefs and the rule.

    embeddings (n, d) of unit length; given (n,) int, -1 = none; anchors (n,) bool; texts (K, d): a concept without anchors is pictured by
    its text; weights (n,), 0 = judged only; folds (n,) int, -1 = judged by all probes. Raises ValueError for no round.
    """
    if settings.n_rounds < 1:
        raise ValueError(f"n_rounds is {settings.n_rounds}: cleaning needs at least 1 round")
    n_concepts, used = len(texts), weights > 0
    trusted = anchors & (given >= 0) & used
    first = mean_prototypes(embeddings, np.where(trusted, given, -1), n_prototypes=n_concepts)
    prototypes = np.where(np.linalg.norm(first, axis=1, keepdims=True) > 0, first, normalized(texts))
    concepts = np.where(used, given, -1)
    n_done, changed = 0, 1.0
    while n_done < settings.n_rounds and (n_done == 0 or changed >= settings.min_change):
        before = concepts
        mixed = _beliefs(embeddings, prototypes, concepts, trusted, weights, folds, settings)
        mixed = bootstrapped(mixed, neighbors, similarities, used, settings)
        keep_from = max(1 / n_concepts, settings.min_keep_share) if n_concepts > 2 else settings.min_keep_share
        judged = cleaned(mixed, given, anchors, min_probability=settings.min_probability, min_keep=keep_from)
        concepts = np.where(used, judged, -1)
        members = mean_prototypes(embeddings, concepts, n_prototypes=n_concepts)
        moved = normalized(settings.momentum * prototypes + (1 - settings.momentum) * members)
        prototypes = np.where(np.linalg.norm(members, axis=1, keepdims=True) > 0, moved, prototypes)
        n_done, changed = n_done + 1, float((concepts != before)[used].mean()) if used.any() else 0.0
    return Cleaned(judged, mixed, prototypes, n_done)


def _beliefs(
    embeddings: np.ndarray,
    prototypes: np.ndarray,
    concepts: np.ndarray,
    trusted: np.ndarray,
    weights: np.ndarray,
    folds: np.ndarray,
    settings: CaproSettings,
) -> np.ndarray:
    """(n, K): classifier and prototypes mixed by alpha (eq. 9); the classifier never saw the row, and learned from those kept so far."""
    n_concepts = len(prototypes)
    similarities = embeddings @ prototypes.T
    shown = trusted if trusted.any() else np.ones(len(embeddings), bool)
    by_prototypes = prototype_probs(similarities, fit_temperature(similarities[shown], target=settings.anchor_confidence))
    kept = concepts >= 0
    if not kept.any():
        return by_prototypes
    targets = np.eye(n_concepts, dtype=np.float32)[np.maximum(concepts, 0)]
    used = np.where(kept, weights, 0.0)
    learned = np.exp(out_of_fold_log_probs(embeddings, targets, used, folds, l2=settings.l2, n_steps=settings.n_steps))
    return np.asarray(settings.classifier_share * learned + (1 - settings.classifier_share) * by_prototypes)


def _rising_ranks(values: np.ndarray) -> np.ndarray:
    """(m,) in (0, 1], 1 = greatest; equal values share their mean rank."""
    return _among(values, values) + 0.5 / max(len(values), 1)


def _among(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(m,) in [0, 1]: the share of `others` below each value, equal ones by half."""
    ordered = np.sort(others)
    return np.asarray((np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2 / max(len(ordered), 1))
