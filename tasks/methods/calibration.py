"""Calibrate without labels: how often an opinion is right, out of how often it agrees with a witness that it didn't hear.

An opinion formed without the given concept agrees with it when both are right, or by chance. So agreement, less what chance gives and
over what sure opinions reach, is a reliability that nobody had to label. The text is such a witness too, of opinions formed without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tasks.methods.posterior import NO_SENSES, fit_transition

WITNESS_STRENGTH = 50.0  # rows of belief in an even spread of a witness' errors, as for the given concept
TAKEN_AT_THEIR_WORD = 0.97  # opinions of at least so much show what agreement can reach; of those around 0.95 some claim too much


@dataclass(frozen=True)
class Reliability:
    """A rising curve from raw to calibrated probability: `raw` (m,) rising, `calibrated` (m,) rising."""

    raw: np.ndarray
    calibrated: np.ndarray

    def __call__(self, probability: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, linear between the points."""
        return np.asarray(np.interp(probability, self.raw, self.calibrated).astype(np.float32))


class Bins(NamedTuple):
    """At most so many bins, of at least so many rows each: of fewer, chance alone would draw a curve down here and there."""

    most: int
    least_rows: float

    def number(self, n_rows: float) -> int:
        """How many bins that is for `n_rows` rows (weighted); at least 2."""
        return int(np.clip(n_rows // self.least_rows, 2, max(self.most, 2)))


class Heard(NamedTuple):
    """What a witness says of opinions that were formed without it, row by row.

    probability (n,): of the opinion; agrees (n,) bool: with the witness; chance (n,): of agreeing when wrong; sure (n,): of agreeing when
    right; weights (n,), 0 = the witness says nothing.
    """

    probability: np.ndarray
    agrees: np.ndarray
    chance: np.ndarray
    sure: np.ndarray
    weights: np.ndarray


def fit_reliability(heard: Heard, weights: np.ndarray, bins: Bins) -> Reliability:
    """Reliability of the opinions of the rows that `weights` (n,) counts.

    Isotonic regression over bins of equal weight, so that the curve can only rise. What agreement can reach is set by `scale` over all of
    the witness' rows.
    """
    used = weights > 0
    points = _points(heard.probability[used], weights[used], bins.number(float(weights[used].sum())))
    if points.max(initial=-1) < 1:
        return Reliability(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    n = points.max() + 1
    size = np.bincount(points, weights[used], n)
    raw, agreement, low, high = (np.bincount(points, weights[used] * values[used], n) / size for values in heard[:4])
    right = np.clip((agreement - low) / np.maximum(high - low, 1e-3) / scale(heard), 0.0, 1.0)
    return Reliability(np.concatenate([[0.0], raw, [1.0]]), np.concatenate([[0.0], rising(right, size), [1.0]]))


def scale(heard: Heard) -> float:
    """How much more often opinions that are sure of themselves agree than `sure` says, at least 1.

    `sure` is a mean over rows of which some are wrong, and so too low; by it, too many of the others would seem right.
    """
    certain = (heard.probability >= TAKEN_AT_THEIR_WORD) & (heard.weights > 0)
    weights = np.where(certain, heard.weights, 0.0)
    expected = float(weights @ (heard.probability * (heard.sure - heard.chance)))
    return max(float(weights @ (heard.agrees - heard.chance)) / expected, 1.0) if expected > 0 else 1.0


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


def _points(values: np.ndarray, weights: np.ndarray, n_bins: int) -> np.ndarray:
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
    """Who checks opinions that were formed without him: votes (n,) int, -1 = says nothing; opinions (n, n_states).

    kinds (n,) int: the kind of each row's opinion, and asked (n,) int the kind of the chance that is to be calibrated; each is held against
    opinions of its own kind. None: all are of one.
    """

    votes: np.ndarray
    opinions: np.ndarray
    kinds: np.ndarray | None = None
    asked: np.ndarray | None = None


def calibrated(
    values: np.ndarray,
    posterior: np.ndarray,
    witnesses: Sequence[Witness],
    weights: np.ndarray,
    *,
    bins: Bins,
    senses: np.ndarray = NO_SENSES,
) -> np.ndarray:
    """(n,) float64: how sure one may be of chances that all signals gave together; a witness can only take from them.

    values (n,): the chances; posterior (n, n_states): concepts, other senses of their words (senses (S,) int: whose), none of them: by it
    the witnesses' own errors are judged; weights (n,), 0 = shapes nothing. Each witness tells how far opinions at a level are right that
    were formed without it, and a chance is drawn down to the lowest of that: beliefs that join signals which err together are too sure.
    """
    told = witnessed(values, posterior, witnesses, weights, bins=bins, senses=senses)
    return np.asarray(np.fmin.reduce([np.array(values, np.float64), *told]))


def witnessed(
    values: np.ndarray,
    posterior: np.ndarray,
    witnesses: Sequence[Witness],
    weights: np.ndarray,
    *,
    bins: Bins,
    senses: np.ndarray = NO_SENSES,
) -> np.ndarray:
    """(n_witnesses, n) float64: what each witness by itself makes of the chances, NaN where it says nothing; as for `calibrated`."""
    found, alike = np.full((len(witnesses), len(values)), np.nan), np.zeros(len(values), np.int64)
    for row, witness in zip(found, witnesses, strict=True):
        kinds, asked = (alike if given is None else given for given in (witness.kinds, witness.asked))
        heard = hear(witness, posterior, weights, senses)
        for kind in np.unique(asked):
            used, mine = np.where(kinds == kind, heard.weights, 0.0), asked == kind
            if used.sum() > 0:
                row[mine] = fit_reliability(heard, used, bins)(values[mine])
    return found


def standard_errors(
    values: np.ndarray,
    posterior: np.ndarray,
    witnesses: Sequence[Witness],
    weights: np.ndarray,
    groups: np.ndarray,
    *,
    bins: Bins,
    n_draws: int,
    seed: int,
    senses: np.ndarray = NO_SENSES,
) -> np.ndarray:
    """(n,) float64: what each row adds to the standard error of a mean of calibrated chances.

    Two things make it err: chance, shown by `n_draws` resamplings of the groups, and the witnesses' own ways to be wrong, shown by what
    they say of the same chances. Rows err together, so errors of single rows would say nothing of a mean. What is given is each row's
    covariance with the mean over the rows that are likely to be kept (a chance of 0.5 or more), over the standard deviation of that mean:
    averaged over those rows it is this deviation, and over others like them it is close. groups (n,) int: copies share one and are drawn
    together.
    """
    rng = np.random.default_rng(seed)
    own = np.unique(groups, return_inverse=True)[1].reshape(-1)
    likely = (weights > 0) & (calibrated(values, posterior, witnesses, weights, bins=bins, senses=senses) >= 0.5)
    drawn = [weights * rng.poisson(1.0, own.max() + 1)[own] for _ in range(n_draws)]
    found = np.stack([calibrated(values, posterior, witnesses, sample, bins=bins, senses=senses) for sample in drawn])
    told = witnessed(values, posterior, witnesses, weights, bins=bins, senses=senses)
    return shares_of_error([(found - found.mean(0), n_draws), (_apart(told), max(len(told) * (len(told) - 1), 1))], likely)


def shares_of_error(spreads: Sequence[tuple[np.ndarray, int]], likely: np.ndarray) -> np.ndarray:
    """(n,) float64, not negative: each row's covariance with the mean of the `likely` rows (n,) bool, over that mean's standard deviation.

    spreads: (m, n) deviations of every row's chance from its mean, of m fits, and what their squares are divided by; variances add up.
    """
    covariance, variance = np.zeros(len(likely)), 0.0
    for spread, n in spreads if likely.any() else ():
        means = spread[:, likely].mean(1)
        covariance, variance = covariance + means @ spread / n, variance + float(means @ means) / n
    return np.asarray(np.maximum(covariance / variance**0.5, 0.0)) if variance > 0 else covariance


def _apart(told: np.ndarray) -> np.ndarray:
    """(n_witnesses, n): how far each witness is from their mean; 0 where fewer than two say something."""
    heard = ~np.isnan(told)
    mean = np.where(heard, told, 0.0).sum(0) / np.maximum(heard.sum(0), 1)
    return np.where(heard, told - mean, 0.0)


def hear(witness: Witness, posterior: np.ndarray, weights: np.ndarray, senses: np.ndarray) -> Heard:
    """What the witness says of the opinions that were formed without it; its own errors are judged by the posterior."""
    n_concepts = posterior.shape[1] - 1 - len(senses)
    told = np.where(witness.votes >= 0, weights, 0.0)
    emitted = np.bincount(witness.votes[told > 0], weights=told[told > 0], minlength=n_concepts) + 1e-3
    transition = fit_transition(posterior, witness.votes, told, emitted / emitted.sum(), strength=WITNESS_STRENGTH, senses=senses)
    rows, opinion = np.arange(len(posterior)), witness.opinions[:, :n_concepts].argmax(1)
    sure, own = transition[opinion, opinion], posterior[rows, opinion]
    expected = np.einsum("ns,sn->n", posterior, transition[:, opinion])  # of the witness, to agree
    chance = (expected - own * sure) / np.maximum(1 - own, 1e-9)
    return Heard(witness.opinions[rows, opinion], opinion == witness.votes, chance, sure, told)
