"""Measure models: figures and their intervals out of predictions and true concepts. All in [0, 1], 1 = good, unless said otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BLOCK = 1024  # queries at a time; bounds memory


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval; `low` and `high` are None where one value gives no interval."""

    mean: float
    low: float | None
    high: float | None
    n: int


def accuracy(predicted: np.ndarray, classes: np.ndarray) -> float:
    """Share of right predictions; both (n,) int. Raises ValueError for empty or unequal arrays."""
    if len(predicted) != len(classes) or not len(classes):
        raise ValueError(f"{len(predicted)} predictions for {len(classes)} true classes: pass as many, and at least one")
    return float(np.mean(predicted == classes))


def per_concept_accuracy(predicted: np.ndarray, classes: np.ndarray, concepts: Sequence[str]) -> dict[str, float]:
    """Accuracy among the pictures of each concept, for concepts that have any."""
    return {name: accuracy(predicted[classes == k], classes[classes == k]) for k, name in enumerate(concepts) if (classes == k).any()}


def reliability(confidence: np.ndarray, right: np.ndarray, *, n_bins: int) -> list[dict[str, float]]:
    """The reliability diagram: per bin of equal width that holds any, its lower edge `from`, mean confidence, accuracy and share of all.

    confidence (n,) float in [0, 1]; right (n,) bool.
    """
    bins = np.minimum((np.asarray(confidence, np.float64) * n_bins).astype(int), n_bins - 1)
    rows = []
    for place in np.unique(bins):
        inside = bins == place
        figures = float(confidence[inside].mean()), float(right[inside].mean()), float(inside.mean())
        rows.append({"from": place / n_bins, **dict(zip(("confidence", "accuracy", "share"), figures, strict=True))})
    return rows


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray, *, n_bins: int) -> float:
    """Mean distance of confidence from accuracy over the bins of `reliability`, by share; 0 = good (Guo et al. 2017, eq. 3)."""
    return float(sum(row["share"] * abs(row["confidence"] - row["accuracy"]) for row in reliability(confidence, right, n_bins=n_bins)))


def recall_at(queries: np.ndarray, candidates: np.ndarray, query_names: np.ndarray, candidate_names: np.ndarray, *, k: int) -> float:
    """Share of queries with a candidate of their own name among the k most similar ones; ties go to the smaller place.

    queries (n, d), candidates (m, d) float32, L2-normalised; names (n,), (m,): equal names belong together.
    """
    hits = 0
    for start in range(0, len(queries), BLOCK):
        nearest = np.argsort(-(queries[start : start + BLOCK] @ candidates.T), axis=1, kind="stable")[:, :k]
        hits += int((candidate_names[nearest] == query_names[start : start + BLOCK, None]).any(1).sum())
    return hits / len(queries)


def nearest_neighbor_predictions(train: np.ndarray, classes: np.ndarray, test: np.ndarray, *, n_neighbors: int) -> np.ndarray:
    """(m,) int64: the class with the largest sum of cosines among each test row's nearest training rows.

    train (n, d), test (m, d) float32, of any length; classes (n,) int64.
    """
    train, test = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (train, test))
    n_classes, n_neighbors = int(classes.max()) + 1, min(n_neighbors, len(train))
    parts = []
    for start in range(0, len(test), BLOCK):
        similarities = test[start : start + BLOCK] @ train.T
        nearest = np.argpartition(-similarities, n_neighbors - 1, axis=1)[:, :n_neighbors]
        votes = np.zeros((len(similarities), n_classes))
        np.add.at(votes, (np.arange(len(votes))[:, None], classes[nearest]), np.take_along_axis(similarities, nearest, 1))
        parts.append(votes.argmax(1))
    return np.concatenate(parts)


def paired_interval(first: Sequence[float], second: Sequence[float], *, confidence: float) -> Interval:
    """The mean of second - first over pairs (the same seeds) and Student's t interval about it. Raises ValueError without a pair."""
    from scipy.stats import t

    if len(first) != len(second) or not len(first):
        raise ValueError(f"{len(first)} and {len(second)} values make no pairs: pass the same seeds for both, and at least one")
    differences = np.asarray(second, np.float64) - np.asarray(first, np.float64)
    mean, n = float(differences.mean()), len(differences)
    if n == 1:
        return Interval(mean, None, None, 1)
    half = float(t.ppf(0.5 + confidence / 2, n - 1)) * float(differences.std(ddof=1)) / n**0.5
    return Interval(mean, mean - half, mean + half, n)
