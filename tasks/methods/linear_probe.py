"""Probe features: how well a linear classifier on frozen features does on a test set, its L2 penalty chosen on held-out training rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Probe:
    """A fitted classifier: `coefficients` (d + 1, k) float64, the bias last; `gradient` the largest slope left, near 0 = converged."""

    coefficients: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    gradient: float

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(m,) int64 classes of features (m, d)."""
        predicted: np.ndarray = (_with_bias((features - self.mean) / self.spread) @ self.coefficients).argmax(1)
        return predicted


@dataclass(frozen=True)
class ProbeResult:
    """Accuracy on the test rows, the penalty that was chosen, and the accuracy of each on the held-out training rows."""

    accuracy: float
    penalty: float
    held_out: dict[float, float]
    gradient: float


def linear_probe(
    train: np.ndarray,
    classes: np.ndarray,
    test: np.ndarray,
    test_classes: np.ndarray,
    *,
    penalties: Sequence[float],
    held_out_share: float,
    max_iterations: int,
    seed: int,
) -> ProbeResult:
    """Fit each penalty on a share of the training rows, take the best on the rest (ties: the larger penalty), fit all, then test.

    train (n, d), test (m, d) float; classes (n,), test_classes (m,) int64. Raises ValueError for a concept tested but never trained.
    """
    unknown = set(test_classes.tolist()) - set(classes.tolist())
    if unknown:
        raise ValueError(f"classes {sorted(unknown)[:5]} are tested but have no training row: give the probe training pictures of each")
    held_out = _held_out(classes, held_out_share, seed)
    found: dict[float, float] = {}
    start = None
    for penalty in sorted(penalties, reverse=True):
        probe = fit(train[~held_out], classes[~held_out], penalty=penalty, max_iterations=max_iterations, start=start)
        start, found[penalty] = probe.coefficients, float(np.mean(probe.predict(train[held_out]) == classes[held_out]))
    best = max(found, key=lambda penalty: (found[penalty], penalty))
    probe = fit(train, classes, penalty=best, max_iterations=max_iterations, start=start)
    return ProbeResult(float(np.mean(probe.predict(test) == test_classes)), best, found, probe.gradient)


def fit(features: np.ndarray, classes: np.ndarray, *, penalty: float, max_iterations: int, start: np.ndarray | None = None) -> Probe:
    """Multinomial logistic regression in float64 on standardised features: mean cross-entropy + penalty / 2 * |coefficients|^2, bias free.

    A larger penalty is a simpler classifier. `start`: coefficients to begin from, (d + 1, k).
    """
    from scipy.optimize import minimize

    features = np.asarray(features, np.float64)
    mean, spread = features.mean(0), np.maximum(features.std(0), 1e-6)
    x = _with_bias((features - mean) / spread)
    shape = x.shape[1], int(classes.max()) + 1
    given = np.zeros((len(x), shape[1]))
    given[np.arange(len(x)), classes] = 1.0

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        return _loss(flat.reshape(shape), x, given, penalty)

    begin = start if start is not None and start.shape == shape else np.zeros(shape)
    solution = minimize(loss, begin.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": max_iterations, "gtol": 1e-6, "ftol": 1e-12})
    return Probe(solution.x.reshape(shape), mean, spread, float(np.abs(solution.jac).max()))


def _loss(coefficients: np.ndarray, x: np.ndarray, given: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
    logits = x @ coefficients
    logits -= logits.max(1, keepdims=True)
    log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    penalised = coefficients.copy()
    penalised[-1] = 0.0
    value = -(given * log_probs).sum() / len(x) + penalty / 2 * float((penalised**2).sum())
    gradient = x.T @ (np.exp(log_probs) - given) / len(x) + penalty * penalised
    return float(value), gradient.ravel()


def _held_out(classes: np.ndarray, share: float, seed: int) -> np.ndarray:
    """That share of every class, drawn from the seed; at least one row of each class stays in training."""
    draws = np.random.default_rng(seed).random(len(classes))
    held_out = np.zeros(len(classes), bool)
    for k in np.unique(classes):
        rows = np.flatnonzero(classes == k)
        n = min(max(1, round(share * len(rows))), len(rows) - 1)
        held_out[rows[np.argsort(draws[rows], kind="stable")[:n]]] = True
    if not held_out.any():
        raise ValueError("every class has a single training row, none can be held out to choose the penalty: give more pictures")
    return held_out


def _with_bias(features: np.ndarray) -> np.ndarray:
    return np.hstack([np.asarray(features, np.float64), np.ones((len(features), 1))])
