"""Separate in- from off-topic images by a hyperplane, alternated with the small-loss split, out of features and given concepts.

Features that were learned without concepts put images of the web that show none of them on the other side of a nearly linear border. A
linear model can't memorise the wrong rows that the losses hand to it, so it cleans their split; and each of the two finds what the other
misses. Albert et al., "An accurate detection is not all you need to combat label noise in web-noisy datasets" (LSA, 2024), with the
weights of "Is your noise correction noisy? PLS" (2023).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tasks.methods.probes import fit_probe, out_of_fold_log_probs, probe_probs
from tasks.methods.small_loss import clean_posterior


class Separation(NamedTuple):
    """Chances (n,) in [0, 1] that a row is noisy: noisy, the mean of both detectors over the last rounds; by_plane and by_loss of the last
    round; log_probs (n, K) of the last probe, which never saw the row."""

    noisy: np.ndarray
    by_plane: np.ndarray
    by_loss: np.ndarray
    log_probs: np.ndarray

    def clean(self, limit: float) -> np.ndarray:
        """(n,) bool: at least one of the two detectors gives the row a chance of noise below `limit`."""
        return np.asarray(np.minimum(self.by_plane, self.by_loss) < limit)


def hyperplane(features: np.ndarray, noisy: np.ndarray, weights: np.ndarray, *, l2: float, n_steps: int) -> np.ndarray:
    """(n,) float64 chance of lying on the noisy side: logistic regression on standardised features, both sides of equal weight.

    features (n, d); noisy (n,) bool, a first guess that the plane denoises; weights (n,), 0 = judged only. Without rows on both sides
    there is no plane: the guess itself.
    """
    sides = np.array([(weights * ~noisy).sum(), (weights * noisy).sum()])
    if (sides <= 0).any():
        return noisy.astype(np.float64)
    balanced = weights / sides[noisy.astype(np.int64)]
    used = balanced > 0
    targets = np.eye(2, dtype=np.float32)[noisy.astype(np.int64)]
    probe = fit_probe(features[used].astype(np.float32), targets[used], balanced[used], l2=l2, n_steps=n_steps)
    return np.asarray(probe_probs(features, probe)[:, 1])


def separate(
    features: np.ndarray,
    given: np.ndarray,
    weights: np.ndarray,
    folds: np.ndarray,
    *,
    n_concepts: int,
    n_rounds: int,
    n_averaged: int,
    sure: float,
    min_separation: float,
    l2: float,
    n_steps: int,
) -> Separation:
    """Alternate: the rows kept so far train a probe, its losses split the rows, the split's surely noisy ones span the plane, and in turn
    the plane's side and the losses' side say who is kept for the next round.

    features (n, d) float32; given (n,) int, -1 = none, which is never noisy by its loss; folds (n,) int, -1 = judged by all probes;
    `sure`: chance above which the losses' word is taken for the plane; `n_averaged` last rounds are averaged. Raises ValueError for no
    round, and for none to average.
    """
    if n_rounds < 1:
        raise ValueError(f"n_rounds is {n_rounds}: separation needs at least 1 round")
    if n_averaged < 1:
        raise ValueError(f"n_averaged is {n_averaged}: average at least the last round")
    targets = np.where((given >= 0)[:, None], np.eye(n_concepts, dtype=np.float32)[np.maximum(given, 0)], 1 / n_concepts).astype(np.float32)
    named = (given >= 0) & (weights > 0)
    kept = named
    history = []
    for number in range(n_rounds):
        used = np.where(kept, weights, 0.0)
        log_probs = out_of_fold_log_probs(features, targets, used, folds, l2=l2, n_steps=n_steps)
        by_loss = _by_loss(log_probs, given, named, min_separation)
        by_plane = hyperplane(features, by_loss > sure, weights, l2=l2, n_steps=n_steps)
        history.append((by_plane + by_loss) / 2)
        side = by_plane if number % 2 == 0 else by_loss
        kept = named & (side <= 0.5)
        kept = kept if kept.any() else named
    return Separation(np.mean(history[-n_averaged:], axis=0), by_plane, by_loss, log_probs)


def relabel_weights(
    before: np.ndarray, now: np.ndarray, noisy: np.ndarray, weights: np.ndarray, *, power: float, min_separation: float
) -> np.ndarray:
    """(n,) float64 in [0, 1]: how far a corrected concept can be trusted; 1 for rows that are not noisy (PLS, section 3.3).

    before, now (n, K): two predictions that don't depend on each other, such as by probes of different folds; the first, sharpened by
    `power`, is the new target, and the second one's loss on it is split into two modes over the noisy rows alone: a relabel that holds is
    trusted, one that wavers, as off-topic images do, is not. weights (n,): rows of 0 shape no mode and read their trust off the others'
    curve; without any noisy row that shapes one, all is trusted.
    """
    trust, shaping = np.ones(len(noisy)), weights[noisy] > 0
    if not shaping.any():
        return trust
    sharp = np.maximum(before[noisy], 1e-12) ** power
    sharp /= sharp.sum(1, keepdims=True)
    losses = -(sharp * np.log(np.maximum(now[noisy], 1e-12))).sum(1)
    found = clean_posterior(losses[shaping], min_separation=min_separation)
    trust[noisy] = _read_off(losses, losses[shaping], found)
    return trust


def _by_loss(log_probs: np.ndarray, given: np.ndarray, named: np.ndarray, min_separation: float) -> np.ndarray:
    """(n,) chance of the high-loss mode; rows that shape nothing read it off the curve of their concept's other rows."""
    found = np.zeros(len(given))
    if not named.any():
        return found
    losses = -log_probs[np.arange(len(given)), np.maximum(given, 0)].astype(np.float64)
    found[named] = 1 - clean_posterior(losses[named], given[named], min_separation=min_separation)
    idle = ~named & (given >= 0)
    for concept in np.unique(given[idle]):
        mine, shaping = idle & (given == concept), named & (given == concept)
        if shaping.any():
            found[mine] = _read_off(losses[mine], losses[shaping], found[shaping])
    return found


def _read_off(at: np.ndarray, losses: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Chances at other losses, by straight lines between the known ones."""
    order = np.argsort(losses, kind="stable")
    return np.asarray(np.interp(at, losses[order], chances[order]))
