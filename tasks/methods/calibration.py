"""Calibrate without labels: how often an opinion is right, out of how often it agrees with the concept that the crawl gave.

An opinion formed without the given concept agrees with it when both are right, or by chance. So agreement, less what chance gives and
over what a sure opinion reaches, is a reliability that nobody had to label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reliability:
    """A rising curve from raw to calibrated probability: `raw` (m,) rising, `calibrated` (m,) rising."""

    raw: np.ndarray
    calibrated: np.ndarray

    def __call__(self, probability: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, linear between the points."""
        return np.asarray(np.interp(probability, self.raw, self.calibrated).astype(np.float32))


def fit_reliability(
    probability: np.ndarray, agrees: np.ndarray, chance: np.ndarray, sure: np.ndarray, weights: np.ndarray, *, n_bins: int
) -> Reliability:
    """Reliability of opinions that were formed without the given concept.

    probability (n,): of the opinion; agrees (n,) bool: with the given concept; chance (n,): of agreeing when wrong; sure (n,): of agreeing
    when right (the transition matrix' diagonal); weights (n,), 0 = left out. Isotonic regression over bins of equal weight, so that
    the curve can only rise.
    """
    used = weights > 0
    points = _bins(probability[used], weights[used], n_bins)
    if points.max(initial=-1) < 1:
        return Reliability(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    n = points.max() + 1
    size = np.bincount(points, weights[used], n)
    raw = np.bincount(points, weights[used] * probability[used], n) / size
    agreement = np.bincount(points, weights[used] * agrees[used], n) / size
    low = np.bincount(points, weights[used] * chance[used], n) / size
    high = np.bincount(points, weights[used] * sure[used], n) / size
    right = np.clip((agreement - low) / np.maximum(high - low, 1e-3), 0.0, 1.0)
    return Reliability(np.concatenate([[0.0], raw, [1.0]]), np.concatenate([[0.0], rising(right, size), [1.0]]))


def rising(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(m,) the nearest rising sequence in weighted squares (pool adjacent violators)."""
    means: list[float] = []
    sizes: list[float] = []
    counts: list[int] = []
    for value, weight in zip(values, weights, strict=True):
        means.append(float(value))
        sizes.append(float(weight))
        counts.append(1)
        while len(means) > 1 and means[-2] >= means[-1]:
            total = sizes[-2] + sizes[-1]
            means[-2] = (means[-2] * sizes[-2] + means[-1] * sizes[-1]) / total
            sizes[-2] = total
            counts[-2] += counts[-1]
            del means[-1], sizes[-1], counts[-1]
    return np.repeat(means, counts)


def _bins(values: np.ndarray, weights: np.ndarray, n_bins: int) -> np.ndarray:
    """(n,) int bin of each value: equal weight per bin, equal values in one bin, numbered without gaps."""
    if not len(values):
        return np.zeros(0, np.int64)
    order = np.argsort(values, kind="stable")
    place = np.cumsum(weights[order]) - weights[order]
    bins = np.empty(len(values), np.int64)
    bins[order] = np.minimum((place / weights.sum() * n_bins).astype(np.int64), n_bins - 1)
    first = np.searchsorted(values[order], values, "left")
    bins = bins[order][first]
    return np.unique(bins, return_inverse=True)[1].reshape(-1)


def calibrated(
    posterior: np.ndarray,
    without_given: np.ndarray,
    given: np.ndarray,
    transition: np.ndarray,
    weights: np.ndarray,
    *,
    n_bins: int,
    share: float,
) -> np.ndarray:
    """(n, n_concepts) float64: the concepts' chances, drawn by `share` from the posterior's own towards their reliability.

    posterior and without_given (n, n_concepts + 1), the last state being none of the concepts; given (n,) int, -1 = none given; transition
    (n_concepts + 1, n_concepts). Without given concepts the posterior's own chances stay. Rows never sum to more than 1.
    """
    n_concepts = transition.shape[1]
    opinion = without_given[:, :n_concepts].argmax(1)
    rows = np.arange(len(given))
    used = np.where(given >= 0, weights, 0.0)
    own = posterior[:, :n_concepts]
    if used.sum() <= 0:
        return own
    curve = fit_reliability(
        without_given[rows, opinion], opinion == given, transition[-1][opinion], transition[opinion, opinion], used, n_bins=n_bins
    )
    chances = (1 - share) * own + share * curve(own)
    return np.asarray(chances / np.maximum(chances.sum(1, keepdims=True), 1.0))
