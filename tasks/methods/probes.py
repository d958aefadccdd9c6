"""Fit linear probes: what features say of every row, out of rows of other folds alone.

Features are gone through in blocks of rows, so that they may be mapped from a file, or be put together as they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tasks.methods.blocks import Columns, blocks

HELD_BYTES = 1 << 28  # standardised features up to here are made once for a fit; larger ones anew in every step
Features = np.ndarray | Columns
Probe = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def out_of_fold_log_probs(
    features: Features, targets: np.ndarray, weights: np.ndarray, folds: np.ndarray, *, l2: float, n_steps: int
) -> np.ndarray:
    """(n, n_targets) float32 log chances of every row by a probe fitted on the other folds.

    features (n, d) float32; targets (n, n_targets) float32, rows sum to 1; weights (n,); folds (n,) int, -1 = in no fit, judged by
    the mean of all probes (rows of the test split). A row of weight 0 is judged but shapes nothing.
    """
    result = np.zeros((len(features), targets.shape[1]), np.float64)
    names, apart = np.unique(folds[folds >= 0]), np.flatnonzero(folds < 0)
    for fold in names:
        train = np.flatnonzero((folds >= 0) & (weights > 0) & ((folds != fold) | (len(names) == 1)))
        probe = fit_probe(features, targets[train], weights[train], l2=l2, n_steps=n_steps, rows=train)
        own = np.flatnonzero(folds == fold)
        result[own] = probe_probs(features, probe, own)
        result[apart] += probe_probs(features, probe, apart) / len(names)
    return np.log(np.maximum(result, 1e-9)).astype(np.float32)


def fit_probe(
    features: Features, targets: np.ndarray, weights: np.ndarray, *, l2: float, n_steps: int, rows: np.ndarray | None = None
) -> Probe:
    """Multinomial logistic regression on soft targets: (mean, spread, coefficients (d, n_targets), intercepts).

    targets (m, n_targets) and weights (m,) of the `rows` (m,) int of features (n, d), or of all of them. Features are standardised; `l2`
    is the penalty per coefficient on the mean loss. Without a row it is uniform. All sums are of float64: steps of L-BFGS make much of
    little, and the order of the rows must not show.
    """
    from scipy.optimize import minimize

    d, n_targets = features.shape[1], targets.shape[1]
    if not len(targets) or weights.sum() <= 0:
        return np.zeros(d), np.ones(d), np.zeros((d, n_targets)), np.zeros(n_targets)
    standard = _Standard(features, np.arange(len(features)) if rows is None else rows, weights)
    share = (weights / weights.sum())[:, None]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        coefficients = flat.reshape(d + 1, n_targets)
        slopes, intercepts = coefficients[:d], coefficients[d]
        value, gradient = l2 * float((slopes**2).sum()), np.vstack([2 * l2 * slopes, np.zeros(n_targets)])
        for part, x in standard:
            logits = x @ slopes + intercepts
            logits -= logits.max(1, keepdims=True)
            chance = np.exp(logits)
            total = chance.sum(1, keepdims=True)
            value += float((share[part] * targets[part] * (np.log(total) - logits)).sum())
            excess = share[part] * (chance / total * targets[part].sum(1, keepdims=True) - targets[part])
            gradient += np.vstack([x.T @ excess, excess.sum(0)])
        return value, gradient.ravel()

    found = minimize(loss, np.zeros((d + 1) * n_targets), jac=True, method="L-BFGS-B", options={"maxiter": n_steps}).x
    coefficients = found.reshape(d + 1, n_targets)
    return standard.mean, standard.spread, coefficients[:d], coefficients[d]


def probe_probs(features: Features, probe: Probe, rows: np.ndarray | None = None) -> np.ndarray:
    """(m, n_targets) float64 chances of the `rows` (m,) int, or of all, by a fitted probe."""
    mean, spread, coefficients, intercepts = probe
    rows = np.arange(len(features)) if rows is None else rows
    result = np.zeros((len(rows), len(intercepts)))
    for part in blocks(len(rows), 8 * features.shape[1]):
        logits = ((features[rows[part]] - mean) / spread) @ coefficients + intercepts
        chance = np.exp(logits - logits.max(1, keepdims=True))
        result[part] = chance / chance.sum(1, keepdims=True)
    return result


class _Standard:
    """Spans of the rows with their standardised features, float64; mean and spread (d,) are weighted."""

    def __init__(self, features: Features, rows: np.ndarray, weights: np.ndarray) -> None:
        self.features, self.rows = features, rows
        self.mean = self.spread = np.zeros(features.shape[1])
        self.mean = self._sum(weights, 1) / weights.sum()
        self.spread = np.sqrt(self._sum(weights, 2) / weights.sum()) + 1e-6
        self.held: np.ndarray | None = None
        if 8 * len(rows) * len(self.mean) <= HELD_BYTES:
            held = np.empty((len(rows), len(self.mean)))
            for part, found in self:
                held[part] = found
            self.held = held

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray]]:
        for part in self._parts():
            yield part, (self.features[self.rows[part]] - self.mean) / self.spread if self.held is None else self.held[part]

    def _sum(self, weights: np.ndarray, power: int) -> np.ndarray:
        """(d,) float64: weighted sum of the features' distances to the mean found so far, to a power."""
        parts = ((self.features[self.rows[part]] - self.mean) ** power * weights[part, None] for part in self._parts())
        return np.asarray(np.sum([part.sum(0) for part in parts], axis=0))

    def _parts(self) -> Iterator[slice]:
        return blocks(len(self.rows), 8 * self.features.shape[1])
