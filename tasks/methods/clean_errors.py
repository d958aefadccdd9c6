"""Doubt a test set: rows whose own label is probably wrong, by confident learning on predictions by probes that never saw them."""

import numpy as np

from tasks.methods.confident_learning import label_issues
from tasks.methods.probes import out_of_fold_log_probs


def clean_set_errors(
    features: np.ndarray, classes: np.ndarray, *, n_folds: int, penalty: float, max_iterations: int, seed: int
) -> np.ndarray:
    """(n,) bool: the test rows whose true class a linear probe, fitted on the other folds' rows, confidently contradicts.

    features (n, d) float32 of the test pictures; classes (n,) int64 in [0, k). Folds are drawn from the seed, class by class.
    """
    folds = np.empty(len(classes), np.int64)
    generator = np.random.default_rng(seed)
    for k in np.unique(classes):
        rows = np.flatnonzero(classes == k)
        folds[rows] = generator.permutation(len(rows)) % n_folds
    targets = np.eye(int(classes.max()) + 1, dtype=np.float32)[classes]
    weights = np.ones(len(classes), np.float32)
    log_probs = out_of_fold_log_probs(features, targets, weights, folds, l2=penalty, n_steps=max_iterations)
    return label_issues(np.exp(log_probs.astype(np.float64)), classes)


def accuracy_without(predicted: np.ndarray, classes: np.ndarray, doubted: np.ndarray) -> float | None:
    """Accuracy on the rows that are not doubted; None where all are."""
    return float(np.mean(predicted[~doubted] == classes[~doubted])) if not doubted.all() else None
