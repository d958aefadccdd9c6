"""Measure the spread of features: how many directions they use, out of their singular values (Chen et al. 2024)."""

import numpy as np


def singular_value_entropy(features: np.ndarray) -> float:
    """-sum of s log s over the singular values of features (n, d), s summing to 1; from 0 (one direction) to log min(n, d)."""
    shares = _shares(features)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def largest_singular_value_ratio(features: np.ndarray) -> float:
    """-log of the largest singular value's share of their sum; 0 = one direction holds all, larger = more even."""
    return float(-np.log(_shares(features)[0]))


def _shares(features: np.ndarray) -> np.ndarray:
    values = np.linalg.svd(np.asarray(features, np.float64), compute_uv=False)
    if not values.sum() > 0:
        raise ValueError("features are all 0: they have no singular values to compare")
    shares: np.ndarray = values / values.sum()
    return shares
