"""Measure drift: how far one crawl lies from another, out of statistics that can be gathered block by block.

Every distance is 0 for equal crawls and grows with the difference. Only the Fréchet distance has no upper bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Number, mean (d,) and scatter (d, d) float64 (sum of outer products of deviations) of vectors; sums of blocks are exact."""

    n: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray) -> Moments:
        """Of (n, d) vectors. Raises ValueError unless they are a matrix."""
        if vectors.ndim != 2:
            raise ValueError(f"moments are taken of a matrix (n, d), not of shape {vectors.shape}")
        exact = vectors.astype(np.float64)
        mean = exact.mean(0) if len(exact) else np.zeros(exact.shape[1])
        return cls(len(exact), mean, (exact - mean).T @ (exact - mean))

    def plus(self, other: Moments) -> Moments:
        """Of both sets of vectors (Chan, Golub and LeVeque 1983, equation 2.1). Raises ValueError for another width."""
        if self.mean.shape != other.mean.shape:
            raise ValueError(f"vectors of width {len(self.mean)} and {len(other.mean)} have no common moments: embed both with one encoder")
        n, step = self.n + other.n, other.mean - self.mean
        if n == 0:
            return self
        between = np.outer(step, step) * (self.n * other.n / n)
        return Moments(n, self.mean + step * (other.n / n), self.scatter + other.scatter + between)

    @property
    def covariance(self) -> np.ndarray:
        """(d, d) float64, divided by n - 1; zero for fewer than two vectors."""
        return self.scatter / (self.n - 1) if self.n > 1 else np.zeros_like(self.scatter)


@dataclass
class CrawlStatistics:
    """What is known of one crawl, or of several together.

    `decodable` rows were judged; `noisy` ones among them show another concept or none, `copies` resemble a row that came before.
    `shares` (k,) are the concepts' shares among its rows, as EM finds them. `confusion` (k, k) counts rows that were judged to be of
    concept j and matched with i, at [i, j].
    """

    moments: Moments
    shares: np.ndarray
    confusion: np.ndarray
    concepts: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)
    decodable: int = 0
    noisy: int = 0
    copies: int = 0

    def plus(self, other: CrawlStatistics) -> CrawlStatistics:
        """Of the rows of both."""
        return CrawlStatistics(
            self.moments.plus(other.moments),
            (self.shares * self.decodable + other.shares * other.decodable) / max(self.decodable + other.decodable, 1),
            self.confusion + other.confusion,
            self.concepts + other.concepts,
            self.words + other.words,
            self.hosts + other.hosts,
            self.decodable + other.decodable,
            self.noisy + other.noisy,
            self.copies + other.copies,
        )


def drift_between(old: CrawlStatistics, new: CrawlStatistics, *, ridge: float) -> dict[str, float]:
    """How far `new` lies from `old`: frechet >= 0; label_shift, matched_shift, concepts, words, hosts in [0, 1]; noise and copies in
    [-1, 1], positive where the new crawl has more. The shifts are half the sum of differences of the concepts' shares: label_shift as EM
    finds both, matched_shift as the old confusion matrix explains the new matches; `ridge` as in `confusion_prior`.
    """
    return {
        "frechet": frechet_distance(old.moments, new.moments),
        "label_shift": total_variation(old.shares, new.shares),
        "matched_shift": matched_shift(old.confusion, new.confusion, ridge=ridge),
        "concepts": jensen_shannon(old.concepts, new.concepts),
        "words": jensen_shannon(old.words, new.words),
        "hosts": jensen_shannon(old.hosts, new.hosts),
        "noise": _share(new.noisy, new.decodable) - _share(old.noisy, old.decodable),
        "copies": _share(new.copies, new.decodable) - _share(old.copies, old.decodable),
    }


def matched_shift(old: np.ndarray, new: np.ndarray, *, ridge: float) -> float:
    """In [0, 1]: how far the concepts' shares moved between two crawls' confusion matrices (k, k), of which the new one's columns are not
    looked at: they are what is asked. 0 where either counts nothing.
    """
    if old.sum() <= 0 or new.sum() <= 0:
        return 0.0
    return total_variation(old.sum(0) / old.sum(), confusion_prior(old, new.sum(1), ridge=ridge))


def frechet_distance(old: Moments, new: Moments) -> float:
    """Squared Fréchet distance of two Gaussians, |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Heusel et al. 2017, section 3).

    The trace of the root is taken of the symmetric A C2 A with A = C1^(1/2), whose eigenvalues are real and not negative: singular
    covariances, as those of few vectors are, need no added noise. Raises ValueError for vectors of different width.
    """
    if old.mean.shape != new.mean.shape:
        raise ValueError(f"embeddings of width {len(old.mean)} and {len(new.mean)} can't be compared: embed both with one encoder")
    root = _root(old.covariance)
    inner = root @ new.covariance @ root
    crossed = np.sqrt(np.clip(np.linalg.eigvalsh((inner + inner.T) / 2), 0, None)).sum()
    apart = float(((old.mean - new.mean) ** 2).sum())
    return max(apart + float(np.trace(old.covariance) + np.trace(new.covariance) - 2 * crossed), 0.0)


def em_prior(beliefs: np.ndarray, trained: np.ndarray, *, steps: int = 200) -> np.ndarray:
    """(k,) float64: shares of the classes among rows whose classifier was made for the shares `trained` (k,).

    beliefs: (n, k) probabilities; rows that sum to less than 1 count for as much. EM of Saerens, Latinne and Decaestecker (2002),
    equations 2.11 and 2.12; without rows the shares are `trained`. Raises ValueError for negative shares and other numbers of classes.
    """
    if beliefs.ndim != 2 or beliefs.shape[1] != len(trained):
        raise ValueError(f"beliefs of shape {beliefs.shape} don't fit {len(trained)} classes")
    if len(trained) and trained.min() < 0:
        raise ValueError(f"shares can't be negative: {trained.min()}")
    prior = np.asarray(trained, np.float64)
    likelihood = np.divide(beliefs.astype(np.float64), trained, out=np.zeros(beliefs.shape), where=trained > 0)
    weight = beliefs.astype(np.float64).sum(1)
    if not len(trained) or weight.sum() <= 0:
        return prior
    for _ in range(steps):
        joint = likelihood * prior
        total = joint.sum(1, keepdims=True)
        posterior = np.divide(joint, total, out=np.zeros_like(joint), where=total > 0)
        updated: np.ndarray = (posterior * weight[:, None]).sum(0)
        updated /= max(updated.sum(), np.finfo(float).tiny)
        if np.abs(updated - prior).max() < 1e-9:
            return updated
        prior = updated
    return prior


def confusion_prior(confusion: np.ndarray, predicted: np.ndarray, *, ridge: float) -> np.ndarray:
    """(k,) float64: shares of the true classes, by the confusion matrix (black box shift estimation, Lipton, Wang and Smola 2018,
    proposition 2).

    confusion (k, k): rows known to be of class j that were predicted as i, counts, at [i, j]; predicted (k,): counts of predictions on the
    new rows. The shares are the least-squares ones that are not negative; each is held to its share among the known rows by `ridge` times
    the squared difference, without which a matrix that hardly tells two classes apart makes much of chance (Azizzadenesheli et al. 2019).
    Raises ValueError for shapes that don't fit, a negative ridge, and where nothing was counted.
    """
    from scipy.optimize import nnls

    if confusion.shape != (len(predicted), len(predicted)):
        raise ValueError(f"a confusion matrix of shape {confusion.shape} doesn't fit {len(predicted)} classes")
    if ridge < 0:
        raise ValueError(f"ridge {ridge} can't be negative")
    if confusion.sum() <= 0 or predicted.sum() <= 0:
        raise ValueError("no row was counted: there is nothing to estimate shares from")
    totals = confusion.sum(0)
    given_true = np.divide(confusion, totals, out=np.zeros(confusion.shape, float), where=totals > 0)
    pull = np.sqrt(ridge)
    known = np.concatenate([given_true, pull * np.eye(len(totals))])
    shares, _ = nnls(known, np.concatenate([predicted / predicted.sum(), pull * totals / totals.sum()]))
    return np.asarray(shares / shares.sum() if shares.sum() > 0 else np.full(len(shares), 1 / len(shares)), np.float64)


def jensen_shannon(old: Mapping[str, int], new: Mapping[str, int]) -> float:
    """Jensen-Shannon divergence of two counts in bits, in [0, 1] (Lin 1991, equation 4.1): 0 for equal shares, 1 where nothing is shared.

    Two empty counts are equal; an empty one shares nothing with another.
    """
    if not old or not new:
        return float(bool(old) != bool(new))
    names = sorted({*old, *new})
    p, q = (np.array([counts.get(name, 0) for name in names], float) for counts in (old, new))
    p, q = p / p.sum(), q / q.sum()
    return float(min(max(_entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2, 0.0), 1.0))


def total_variation(old: np.ndarray, new: np.ndarray) -> float:
    """Half the sum of absolute differences of two vectors of shares, in [0, 1]: what has to move to turn one into the other."""
    return float(min(np.abs(old - new).sum() / 2, 1.0))


def _entropy(shares: np.ndarray) -> float:
    there = shares[shares > 0]
    return float(-(there * np.log2(there)).sum())


def _root(matrix: np.ndarray) -> np.ndarray:
    """The symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
