"""Calibrate without labels: how often an opinion is right, out of how often it agrees with a witness that it didn't hear.

An opinion formed without the given concept agrees with it when both are right, or by chance. So agreement, less what chance gives and
over what a sure opinion reaches, is a reliability that nobody had to label. The text is such a witness too, of opinions formed without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tasks.methods.posterior import fit_transition

WITNESS_STRENGTH = 50.0  # rows of belief in an even spread of a witness' errors, as for the given concept


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


class Witness(NamedTuple):
    """Who checks opinions that were formed without him: votes (n,) int, -1 = says nothing; opinions (n, n_concepts + 1).

    kinds (n,) int: the kind of each row's opinion, and asked (n,) int the kind of the chance that is to be calibrated; each is held against
    opinions of its own kind. None: all are of one.
    """

    votes: np.ndarray
    opinions: np.ndarray
    kinds: np.ndarray | None = None
    asked: np.ndarray | None = None


def calibrated(values: np.ndarray, posterior: np.ndarray, witnesses: Sequence[Witness], weights: np.ndarray, *, n_bins: int) -> np.ndarray:
    """(n,) float64: how sure one may be of chances that all signals gave together; a witness can only take from them.

    values (n,): the chances; posterior (n, n_concepts + 1), the last state being none of the concepts: by it the witnesses' own errors are
    judged; weights (n,), 0 = shapes nothing. Each witness tells how far opinions at a level are right that were formed without it, and
    the chances are drawn down to that, one witness after the other: beliefs that join signals which err together are too sure.
    """
    found = np.array(values, np.float64)
    alike = np.zeros(len(found), np.int64)
    for witness in witnesses:
        kinds, asked = (alike if given is None else given for given in (witness.kinds, witness.asked))
        for kind in np.unique(asked):
            used, mine = np.where((witness.votes >= 0) & (kinds == kind), weights, 0.0), asked == kind
            if used.sum() > 0:
                found[mine] = np.minimum(found[mine], _curve_of(witness, posterior, used, n_bins)(found[mine]))
    return found


def standard_errors(
    values: np.ndarray,
    posterior: np.ndarray,
    witnesses: Sequence[Witness],
    weights: np.ndarray,
    groups: np.ndarray,
    *,
    n_bins: int,
    n_draws: int,
    seed: int,
) -> np.ndarray:
    """(n,) float64: what each row adds to the standard error of a mean of calibrated chances, by `n_draws` resamplings of the groups.

    The rows of one bin err together, so errors of single rows would say nothing of a mean. What is given is each row's covariance with the
    mean over the rows that are likely to be kept (a chance of 0.5 or more), over the standard deviation of that mean: averaged over those
    rows it is this deviation, and over others like them it is close. groups (n,) int: copies share one and are drawn together.
    """
    rng = np.random.default_rng(seed)
    own = np.unique(groups, return_inverse=True)[1].reshape(-1)
    likely = (weights > 0) & (calibrated(values, posterior, witnesses, weights, n_bins=n_bins) >= 0.5)
    if not likely.any():
        return np.zeros(len(values))
    drawn = [weights * rng.poisson(1.0, own.max() + 1)[own] for _ in range(n_draws)]
    found = np.stack([calibrated(values, posterior, witnesses, sample, n_bins=n_bins) for sample in drawn])
    means = found[:, likely].mean(1)
    spread = float(means.std())
    if spread <= 0:
        return np.zeros(len(values))
    return np.asarray(np.maximum((means - means.mean()) @ (found - found.mean(0)) / (n_draws * spread), 0.0))


def _curve_of(witness: Witness, posterior: np.ndarray, used: np.ndarray, n_bins: int) -> Reliability:
    """The reliability of the opinions that were formed without the witness."""
    n_concepts = posterior.shape[1] - 1
    told = used > 0
    emitted = np.bincount(witness.votes[told], weights=used[told], minlength=n_concepts) + 1e-3
    transition = fit_transition(posterior, witness.votes, used, emitted / emitted.sum(), strength=WITNESS_STRENGTH)
    rows, opinion = np.arange(len(posterior)), witness.opinions[:, :n_concepts].argmax(1)
    sure, other = transition[opinion, opinion], 1 - posterior[rows, opinion]
    chance = ((posterior @ transition)[rows, opinion] - posterior[rows, opinion] * sure) / np.maximum(other, 1e-9)
    return fit_reliability(witness.opinions[rows, opinion], opinion == witness.votes, chance, sure, used, n_bins=n_bins)
