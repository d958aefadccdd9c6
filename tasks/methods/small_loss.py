"""Split rows by their loss: who is probably clean, out of two normal distributions fitted to the losses (Arazo et al. 2019)."""

import numpy as np

MAX_ITERATIONS, TOLERANCE, MIN_VARIANCE = 100, 1e-6, 5e-4
CLIPPED_SHARE = 0.005  # of the largest losses: one outlier must not set the scale
MIN_ROWS = 50  # a concept with fewer is split together with all others


def clean_posterior(losses: np.ndarray, classes: np.ndarray | None = None, *, min_separation: float) -> np.ndarray:
    """(n,) float64: each row's probability of belonging to the low-loss mode.

    losses (n,) float, finite. With classes (n,) int64 every concept of at least MIN_ROWS rows is split for itself, since hard concepts
    have larger losses; the rest is split together. Where the two means lie closer than `min_separation` of the larger spread the losses
    count as one mode and nobody is called noisy: all get 1. Those of one normal distribution come to about 1.5.
    Raises ValueError for losses that are no numbers, and for classes that don't go with them.
    """
    losses = np.asarray(losses, np.float64)
    if not np.isfinite(losses).all():
        raise ValueError(f"{(~np.isfinite(losses)).sum()} of {len(losses)} losses are no numbers: split them only after every row was seen")
    if classes is None:
        return _posterior(losses, min_separation)
    if classes.shape != losses.shape:
        raise ValueError(f"classes of shape {classes.shape} for losses of shape {losses.shape}: give one class per loss")
    if len(classes) and classes.min() < 0:
        raise ValueError(f"class {classes.min()} is none: number classes from 0, and leave rows without one out")
    counts = np.bincount(classes)
    found = np.empty(len(losses))
    small = counts[classes] < MIN_ROWS
    if small.any():
        found[small] = _posterior(losses, min_separation)[small]
    for concept in np.flatnonzero(counts >= MIN_ROWS):
        rows = classes == concept
        found[rows] = _posterior(losses[rows], min_separation)
    return found


def fit_two_normals(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, variances and shares (2,) of a mixture fitted by EM from the lower and the upper quarter; the lower mean first."""
    means = np.quantile(values, [0.25, 0.75]) + np.array([-1e-6, 1e-6])
    variances, shares = np.full(2, max(values.var(), MIN_VARIANCE)), np.array([0.5, 0.5])
    before = -np.inf
    for _ in range(MAX_ITERATIONS):
        log_joint = _log_joint(values, means, variances, shares)
        total = np.logaddexp(log_joint[0], log_joint[1])
        belongs = np.exp(log_joint - total)
        mass = np.maximum(belongs.sum(1), 1e-12)
        means = (belongs * values).sum(1) / mass
        variances = (belongs * (values - means[:, None]) ** 2).sum(1) / mass + MIN_VARIANCE
        shares = mass / mass.sum()
        if total.mean() - before < TOLERANCE:
            break
        before = total.mean()
    order = np.argsort(means)
    return means[order], variances[order], shares[order]


def keep_smallest(losses: np.ndarray, share: float) -> np.ndarray:
    """(n,) bool: the share of the rows with the smallest losses, at least one; ties go to the smaller place."""
    n = max(1, round(share * len(losses)))
    kept = np.zeros(len(losses), bool)
    kept[np.argsort(losses, kind="stable")[:n]] = True
    return kept


def forget_rate(epoch: float, *, rate: float, ramp_epochs: float) -> float:
    """The share to leave out: rises in a line to `rate` over `ramp_epochs` (Han et al. 2018)."""
    return rate if ramp_epochs <= 0 else rate * min(epoch / ramp_epochs, 1.0)


def _posterior(losses: np.ndarray, min_separation: float) -> np.ndarray:
    """The lower mode's posterior; all 1 where the means lie too close, or nothing varies."""
    ones = np.ones(len(losses))
    if len(losses) < 2:
        return ones
    values = np.minimum(losses, np.quantile(losses, 1 - CLIPPED_SHARE))
    span = values.max() - values.min()
    if span <= 0:
        return ones
    values = (values - values.min()) / span
    means, variances, shares = fit_two_normals(values)
    if means[1] - means[0] < min_separation * np.sqrt(variances.max()):
        return ones
    log_joint = _log_joint(values, means, variances, shares)
    posterior: np.ndarray = np.exp(log_joint[0] - np.logaddexp(log_joint[0], log_joint[1]))
    posterior[values <= means[0]] = 1.0  # the wider mode's tail reaches below the lower mean: such rows are not noisy
    posterior[values >= means[1]] = np.minimum(posterior[values >= means[1]], 0.5)
    return posterior


def _log_joint(values: np.ndarray, means: np.ndarray, variances: np.ndarray, shares: np.ndarray) -> np.ndarray:
    found: np.ndarray = (
        np.log(np.maximum(shares, 1e-300))[:, None]
        - 0.5 * np.log(2 * np.pi * variances)[:, None]
        - (values - means[:, None]) ** 2 / (2 * variances[:, None])
    )
    return found
