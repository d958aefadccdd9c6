"""Learn from people: calibrated chances that each suggestion is right, out of the signals and of some hundred human verdicts.

A logistic regression on the signals, and a rising curve (isotonic regression; Zadrozny and Elkan, "Transforming classifier scores into
accurate multiclass probability estimates", 2002) from what it says of rows that it never saw to frequencies. A row that taught is judged
by probe and curve of the other folds, its copies with it: a copy, and a row of the test split, teaches nothing. With fewer verdicts than
`min_verdicts` it stays silent, since a curve through a few dozen points promises more than it knows; and rows of which the machine was
surer, or less sure, than of any that a person judged keep the machine's chance, since a review queue shows doubtful rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tasks.methods.calibration import rising, shares_of_error
from tasks.methods.probes import fit_probe, probe_probs


class Learned(NamedTuple):
    """chances (n,) float64 in [0, 1] that the opinion on each row is right; within (n,) bool: the rows whose chance was learned; errors
    (n,) float64: what each row adds to the standard error of a mean of learned chances; log_loss of the out-of-fold chances on the rows
    that taught, and before_log_loss of the chances that the machine had."""

    chances: np.ndarray
    within: np.ndarray
    errors: np.ndarray
    log_loss: float
    before_log_loss: float


def judged_right(verdicts: list[str | None], shown: list[str | None], suggested: list[str | None]) -> np.ndarray:
    """(n,) float64: 1 where a person's concept is the suggested one, 0 where it isn't or the row was dropped, NaN without a verdict.

    verdicts (confirmed, corrected or dropped) and shown (the concept that goes with it) as `reviews.applied` gives them.
    """
    pairs = zip(verdicts, shown, suggested, strict=True)
    return np.array([np.nan if verdict is None else float(concept is not None and concept == own) for verdict, concept, own in pairs])


def of_shaping(right: np.ndarray, suggested: Sequence[str | None], groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n,) float64: `right` (n,) for the rows of positive weight, NaN for all others; what was said of a copy counts for the row of its
    group that has weight, if that is suggested the same, of several copies the first."""
    judged = np.flatnonzero(~np.isnan(right))
    said = {(int(groups[row]), suggested[row]): right[row] for row in judged[::-1].tolist()}
    told = np.where(weights > 0, right, np.nan)
    for row in np.flatnonzero((weights > 0) & np.isnan(right) & np.isin(groups, groups[judged])).tolist():
        told[row] = said.get((int(groups[row]), suggested[row]), np.nan)
    return told


def learned_chances(
    signals: np.ndarray,
    before: np.ndarray,
    right: np.ndarray,
    groups: np.ndarray,
    weights: np.ndarray,
    *,
    min_verdicts: int,
    n_folds: int,
    n_bins: int,
    l2: float,
    n_steps: int,
    n_draws: int,
    seed: int,
) -> Learned | None:
    """Chances for every row, or None with fewer than `min_verdicts` verdicts, without both kinds of them, or where the chances learned out
    of fold fit the verdicts worse than those before.

    signals (n, m) float in [0, 1], each about one thing that speaks for the opinion, NaN = unknown (its mean stands in); before (n,) the
    machine's own chance; right (n,) float: 1, 0, or NaN where nobody has judged; groups (n,) int: copies share one; weights (n,) float:
    rows of weight 0 teach nothing. Rows that taught, and their copies, get the chance by the fit that never saw them, all others the one
    of the fit on all verdicts, as far as their `before` lies between the lowest and the highest of the rows that taught; beyond, it stays.
    Errors come from the spread over `n_draws` fits on random halves of the rows that taught (delete-half jackknife, Shao and Wu 1989).
    """
    judged = ~np.isnan(right) & (weights > 0)
    if judged.sum() < max(min_verdicts, 2) or len(np.unique(right[judged])) < 2:
        return None
    features = _features(signals, before, weights > 0)
    folds = np.where(np.isin(groups, groups[judged]), groups % n_folds, -1)
    fit = (features, right, folds, n_bins, l2, n_steps)
    chances = _calibrated(judged, *fit)
    for fold in np.unique(folds[judged]):
        others = judged & (folds != fold)
        if len(np.unique(right[others])) == 2:
            own = folds == fold
            chances[own] = _calibrated(others, *fit)[own]
    within = (before >= before[judged].min()) & (before <= before[judged].max())
    after, earlier = log_loss(chances[judged], right[judged]), log_loss(before[judged], right[judged])
    if after >= earlier:
        return None
    halves = _halves(judged, right, n_draws, seed)
    found = np.array([_calibrated(half, *fit) for half in halves]).reshape(len(halves), len(right))
    errors = shares_of_error([(found - found.mean(0), len(halves))] if halves else [], (weights > 0) & (chances >= 0.5))
    return Learned(np.where(within, chances, before), within, errors, after, earlier)


def log_loss(chances: np.ndarray, right: np.ndarray) -> float:
    """Mean log loss of chances of which none counts as more certain than 0.001 or 0.999."""
    sure = np.clip(chances, 1e-3, 1 - 1e-3)
    return float(-(right * np.log(sure) + (1 - right) * np.log(1 - sure)).mean())


def _calibrated(
    train: np.ndarray, features: np.ndarray, right: np.ndarray, folds: np.ndarray, n_bins: int, l2: float, n_steps: int
) -> np.ndarray:
    """(n,) chances for every row, out of the rows `train` alone: a probe on all of them, and a curve through what probes on all folds but
    one say of that one."""
    targets = np.stack([1 - np.nan_to_num(right), np.nan_to_num(right)], axis=1).astype(np.float32)

    def judged_by(rows: np.ndarray) -> np.ndarray:
        probe = fit_probe(features[rows], targets[rows], np.ones(int(rows.sum())), l2=l2, n_steps=n_steps)
        return np.asarray(probe_probs(features, probe)[:, 1])

    unseen = np.zeros(len(right))
    names = np.unique(folds[train])
    for fold in names:
        own = train & (folds == fold)
        unseen[own] = judged_by(train & ((folds != fold) | (len(names) == 1)))[own]
    return _curve(unseen[train], right[train], judged_by(train), n_bins)


def _halves(judged: np.ndarray, right: np.ndarray, n_draws: int, seed: int) -> list[np.ndarray]:
    """(n,) bool each: random halves of the rows that taught, but for those with one kind of verdict alone. A group has one such row."""
    rng, rows = np.random.default_rng(seed), np.flatnonzero(judged)
    drawn = [np.isin(np.arange(len(judged)), rng.permutation(rows)[: len(rows) // 2]) for _ in range(n_draws)]
    return [half for half in drawn if len(np.unique(right[half])) == 2]


def _features(signals: np.ndarray, before: np.ndarray, shaping: np.ndarray) -> np.ndarray:
    columns = np.column_stack([signals, before]).astype(np.float64)
    known = ~np.isnan(columns)
    counted = known & shaping[:, None]
    means = np.where(counted.any(0), np.where(counted, columns, 0.0).sum(0) / np.maximum(counted.sum(0), 1), 0.5)
    filled = np.clip(np.where(known, columns, means), 1e-3, 1 - 1e-3)
    return np.asarray(np.log(filled / (1 - filled)), np.float32)


def _curve(raw: np.ndarray, right: np.ndarray, wanted: np.ndarray, n_bins: int) -> np.ndarray:
    """Frequencies along a rising curve through the means of bins of equal size, each drawn by one row towards its raw mean."""
    order = np.argsort(raw, kind="stable")
    bins = [part for part in np.array_split(order, max(1, min(n_bins, len(raw)))) if len(part)]
    sizes = np.array([len(part) for part in bins], np.float64)
    middles = np.array([raw[part].mean() for part in bins])
    shares = np.array([(right[part].sum() + raw[part].mean()) / (len(part) + 1) for part in bins])
    return np.asarray(np.interp(wanted, middles, rising(shares, sizes)))
