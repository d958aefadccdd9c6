"""Fit linear probes: what features say of every row, out of rows of other folds alone."""

from __future__ import annotations

import numpy as np


def out_of_fold_log_probs(
    features: np.ndarray, targets: np.ndarray, weights: np.ndarray, folds: np.ndarray, *, l2: float, n_steps: int
) -> np.ndarray:
    """(n, n_targets) float32 log chances of every row by a probe fitted on the other folds.

    features (n, d) float32; targets (n, n_targets) float32, rows sum to 1; weights (n,); folds (n,) int, -1 = in no fit, judged by
    the mean of all probes (rows of the test split). A row of weight 0 is judged but shapes nothing.
    """
    result = np.zeros((len(features), targets.shape[1]), np.float64)
    names = np.unique(folds[folds >= 0])
    for fold in names:
        train = (folds >= 0) & (weights > 0) & ((folds != fold) | (len(names) == 1))
        probe = fit_probe(features[train], targets[train], weights[train], l2=l2, n_steps=n_steps)
        own = folds == fold
        result[own] = probe_probs(features[own], probe)
        result[folds < 0] += probe_probs(features[folds < 0], probe) / len(names)
    return np.log(np.maximum(result, 1e-9)).astype(np.float32)


Probe = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def fit_probe(features: np.ndarray, targets: np.ndarray, weights: np.ndarray, *, l2: float, n_steps: int) -> Probe:
    """Multinomial logistic regression on soft targets: (mean, spread, coefficients (d, n_targets), intercepts).

    Features are standardised; `l2` is the penalty per coefficient on the mean loss. Without a row it is uniform.
    """
    from scipy.optimize import minimize

    d, n_targets = features.shape[1], targets.shape[1]
    if not len(features) or weights.sum() <= 0:
        return np.zeros(d), np.ones(d), np.zeros((d, n_targets)), np.zeros(n_targets)
    mean = np.average(features, axis=0, weights=weights)
    spread = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights)) + 1e-6
    x = ((features - mean) / spread).astype(np.float32)
    share = (weights / weights.sum()).astype(np.float32)[:, None]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        coefficients = flat.reshape(d + 1, n_targets)
        logits = x @ coefficients[:d].astype(np.float32) + coefficients[d].astype(np.float32)
        logits -= logits.max(1, keepdims=True)
        chance = np.exp(logits)
        total = chance.sum(1, keepdims=True)
        value = float((share * targets * (np.log(total) - logits)).sum(dtype=np.float64)) + l2 * float((coefficients[:d] ** 2).sum())
        excess = share * (chance / total * targets.sum(1, keepdims=True) - targets)
        gradient = np.vstack([x.T @ excess + 2 * l2 * coefficients[:d], excess.sum(0)])
        return value, gradient.astype(np.float64).ravel()

    found = minimize(loss, np.zeros((d + 1) * n_targets), jac=True, method="L-BFGS-B", options={"maxiter": n_steps}).x
    coefficients = found.reshape(d + 1, n_targets)
    return mean, spread, coefficients[:d], coefficients[d]


def probe_probs(features: np.ndarray, probe: Probe) -> np.ndarray:
    """(n, n_targets) float64 chances by a fitted probe."""
    mean, spread, coefficients, intercepts = probe
    logits = ((features - mean) / spread) @ coefficients + intercepts
    chance = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(chance / chance.sum(1, keepdims=True))
