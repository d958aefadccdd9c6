"""Clean several concepts per image by aligned prototypes: the multi-label form of CAPro (Qin et al., NeurIPS 2023), on fixed embeddings.

Each concept has two prototypes, of images that show it and of images that don't, and a classifier of its own; both start from the few
entries that the concept's definition confirms. Entries are kept, turned over or masked; an image survives with its last entry.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tasks.methods.capro import CaproSettings, bootstrapped, match_fit
from tasks.methods.probes import out_of_fold_log_probs
from tasks.methods.prototypes import choose_anchors, fit_temperature, mean_prototypes, normalized, prototype_probs

TYPICAL = 0.75  # of the entries given as absent: what fits a concept's text no more than they do isn't likely to show it


class CleanedEntries(NamedTuple):
    """states (n, K) int8 after the rule: 1 = present, 0 = absent, -1 = masked; present (n, K) float64 in [0, 1]: the belief that it was
    applied to; survives (n,) bool; prototypes (K, 2, d) float32 of absent and present; n_rounds done."""

    states: np.ndarray
    present: np.ndarray
    survives: np.ndarray
    prototypes: np.ndarray
    n_rounds: int


def entry_fit(embeddings: np.ndarray, smoothed: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """(n, K) float64 in [-1, 1], higher = looks and reads more like the concept.

    The mean cosine of an image and of its visual neighbours' texts to each concept's text: embeddings (n, d) of unit length; smoothed
    (n, d) as `prototypes.smooth_texts` gives it, zero where there is none; texts (K, d) of the concepts' definitions.
    """
    return np.asarray((embeddings + smoothed) @ texts.T, np.float64) / 2


def choose_trusted(
    fit: np.ndarray,
    smoothed: np.ndarray,
    labels: np.ndarray,
    texts: np.ndarray,
    groups: np.ndarray,
    usable: np.ndarray,
    *,
    settings: CaproSettings,
    n_anchors: int,
    max_share: float,
) -> np.ndarray:
    """(n, K) int8: entries that the concept's text confirms, 1 = surely present, 0 = surely absent, -1 = all others (section 3.3).

    Present are the best of those given so, by `capro.match_fit`; absent are the worst-fitting ones given as absent, and the worst-fitting
    ones given as present that fit no more than most of those given as absent: another sense of the name may show there and nowhere else.
    Of each kind at most `n_anchors` (50 in the paper) and `max_share` of it, at least one where there is any, one of each group of
    copies. fit (n, K) of `entry_fit`; labels (n, K) int, 1, 0 or -1; groups (n,) int; usable (n,) bool. Nothing is trusted of an unknown.
    """
    trusted = np.full(labels.shape, -1, np.int8)
    for concept in range(labels.shape[1]):
        states, own = np.where(usable, labels[:, concept], -1), fit[:, concept]
        typical = float(np.quantile(own[states == 0], TYPICAL)) if (states == 0).any() else -np.inf
        named = np.where(states == 1, concept, -1)
        matched = match_fit(own, smoothed, named, usable, texts, settings)
        for state, members, sure in ((0, states == 0, -own), (0, (states == 1) & (own < typical), -own), (1, states == 1, matched)):
            kinds = np.where(members, 0, -1)
            chosen = choose_anchors(sure, members, kinds, groups, usable, n_anchors=n_anchors, max_share=max_share)
            trusted[chosen, concept] = state
    return trusted


def cleaned_entries(present: np.ndarray, labels: np.ndarray, trusted: np.ndarray, *, min_probability: float, min_keep: float) -> np.ndarray:
    """(n, K) int8: the states after CAPro's rule (section 3.5), -1 = masked.

    present (n, K) in [0, 1]; labels (n, K) int; trusted (n, K) int: states other than -1 stand. Else a state whose belief is at least
    `min_probability` is set, which turns given entries over and fills unknown ones; else the given state stays where its belief is at least
    `min_keep`, and the entry is masked where not. The two beliefs sum to 1: nothing is masked unless min_probability > 1 - min_keep.
    """
    own = np.where(labels == 1, present, 1 - present)
    kept = np.where((labels >= 0) & (own >= min_keep), labels, -1)
    sure = np.where(present >= min_probability, 1, np.where(1 - present >= min_probability, 0, kept))
    return np.where(trusted >= 0, trusted, sure).astype(np.int8)


def clean_entries(
    embeddings: np.ndarray,
    labels: np.ndarray,
    trusted: np.ndarray,
    neighbors: np.ndarray,
    similarities: np.ndarray,
    weights: np.ndarray,
    folds: np.ndarray,
    *,
    settings: CaproSettings,
) -> CleanedEntries:
    """Iterate prototypes, beliefs and the rule, as `capro.clean` does for one concept per image.

    embeddings (n, d) float32 of unit length; labels (n, K) int, 1, 0 or -1; trusted (n, K) int of `choose_trusted`; neighbors (n, m)
    int64, -1 = none; similarities (n, m); weights (n,), 0 = judged only; folds (n,) int, -1 = judged by all probes. Of the settings
    `min_probability` is 0.9 in the paper's multi-label run; entries are kept from `min_keep_share` or 1 / K on, whichever is more. A
    concept of which one state alone is trusted can't be judged: belief 1/2, entries as given. Raises ValueError for no round, and for
    other labels.
    """
    if settings.n_rounds < 1:
        raise ValueError(f"n_rounds is {settings.n_rounds}: cleaning needs at least 1 round")
    if not np.isin(labels, (-1, 0, 1)).all():
        raise ValueError(f"labels hold {labels[~np.isin(labels, (-1, 0, 1))][0]}: an entry is 1 (present), 0 (absent) or -1 (unknown)")
    used, n_concepts = weights > 0, labels.shape[1]
    trusted = np.where(used[:, None], trusted, -1)
    min_keep = max(1 / n_concepts, settings.min_keep_share) if n_concepts > 2 else settings.min_keep_share
    states = np.where(used[:, None], np.where(trusted >= 0, trusted, labels), -1)
    judgeable = np.asarray((trusted == 0).any(0) & (trusted == 1).any(0))
    prototypes = state_prototypes(embeddings, trusted)
    present, judged, n_done, changed = np.full(labels.shape, 0.5), labels.astype(np.int8), 0, 1.0
    while n_done < settings.n_rounds and (n_done == 0 or changed >= settings.min_change):
        before = states
        for concept in np.flatnonzero(judgeable):
            shown = trusted[:, concept] >= 0
            present[:, concept] = _belief(embeddings, prototypes[concept], states[:, concept], shown, weights, folds, settings)
        present = bootstrapped(present, neighbors, similarities, used, settings)
        found = cleaned_entries(present, labels, trusted, min_probability=settings.min_probability, min_keep=min_keep)
        judged = np.where(judgeable, found, labels).astype(np.int8)
        states = np.where(used[:, None], judged, -1)
        members = state_prototypes(embeddings, states)
        moved = normalized(settings.momentum * prototypes + (1 - settings.momentum) * members)
        prototypes = np.where(np.linalg.norm(members, axis=2, keepdims=True) > 0, moved, prototypes)
        n_done, changed = n_done + 1, float((states != before).mean()) if states.size else 0.0
    return CleanedEntries(judged, present, np.asarray((judged >= 0).any(1)), prototypes, n_done)


def state_prototypes(embeddings: np.ndarray, states: np.ndarray) -> np.ndarray:
    """(K, 2, d) float32: normalised mean of the images without and with each concept, zero where there is none; states (n, K) int."""
    found = [mean_prototypes(embeddings, column, n_prototypes=2) for column in states.T]
    return np.stack(found) if found else np.zeros((0, 2, embeddings.shape[1]), np.float32)


def _belief(
    embeddings: np.ndarray,
    prototypes: np.ndarray,
    states: np.ndarray,
    shown: np.ndarray,
    weights: np.ndarray,
    folds: np.ndarray,
    settings: CaproSettings,
) -> np.ndarray:
    """(n,): belief that one concept is present, classifier and two prototypes mixed by alpha (eq. 9, with s- = 1 - s+)."""
    similarities = embeddings @ prototypes.T
    by_prototypes = prototype_probs(similarities, fit_temperature(similarities[shown], target=settings.anchor_confidence))[:, 1]
    targets = np.eye(2, dtype=np.float32)[np.maximum(states, 0)]
    learnable = np.where(states >= 0, weights, 0.0)
    learned = np.exp(out_of_fold_log_probs(embeddings, targets, learnable, folds, l2=settings.l2, n_steps=settings.n_steps))[:, 1]
    return np.asarray(settings.classifier_share * learned + (1 - settings.classifier_share) * by_prototypes, np.float64)
