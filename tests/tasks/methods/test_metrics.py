"""Figures against worked examples."""

import numpy as np
import pytest

from tasks.methods.metrics import (
    accuracy,
    expected_calibration_error,
    nearest_neighbor_predictions,
    paired_interval,
    per_concept_accuracy,
    recall_at,
    reliability,
)


def test_accuracy_whole_and_by_concept() -> None:
    predicted, classes = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])
    assert accuracy(predicted, classes) == 0.75
    assert per_concept_accuracy(predicted, classes, ["cat", "dog", "emu"]) == {"cat": 2 / 3, "dog": 1.0}


def test_accuracy_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="0 predictions for 0 true classes: pass as many, and at least one"):
        accuracy(np.array([]), np.array([]))


def test_reliability_and_its_error() -> None:
    confidence, right = np.array([0.95, 0.85, 0.55, 1.0]), np.array([True, False, True, True])
    rows = reliability(confidence, right, n_bins=10)
    assert [row["from"] for row in rows] == [0.5, 0.8, 0.9]
    assert rows[2] == pytest.approx({"from": 0.9, "confidence": 0.975, "accuracy": 1.0, "share": 0.5})
    expected = 0.25 * 0.45 + 0.25 * 0.85 + 0.5 * 0.025
    assert expected_calibration_error(confidence, right, n_bins=10) == pytest.approx(expected)


def test_recall_counts_any_candidate_of_the_name() -> None:
    queries = np.eye(3, dtype=np.float32)
    candidates = np.array([[0.9, 0.1, 0], [1, 0, 0], [0, 1, 0], [0, 0.5, 0.4]], np.float32)
    names, found = np.array(["a", "b", "c"]), np.array(["a", "x", "b", "c"])
    assert recall_at(queries, candidates, names, found, k=1) == pytest.approx(2 / 3)
    assert recall_at(queries, candidates, names, found, k=2) == 1.0


def test_nearest_neighbors_vote_by_similarity() -> None:
    train = np.array([[1, 0], [2, 0.2], [0, 1], [0, 3]], np.float32)
    classes = np.array([0, 0, 1, 1])
    assert nearest_neighbor_predictions(train, classes, np.array([[5, 1], [1, 5]], np.float32), n_neighbors=3).tolist() == [0, 1]


def test_paired_interval_of_the_worked_example() -> None:
    # Differences .01, .02, .03: mean .02, standard error .01 / sqrt(3), t(.975, 2) = 4.3027.
    found = paired_interval([0.80, 0.81, 0.82], [0.81, 0.83, 0.85], confidence=0.95)
    assert found.mean == pytest.approx(0.02)
    assert (found.low, found.high) == pytest.approx((0.02 - 4.3027 * 0.0057735, 0.02 + 4.3027 * 0.0057735), abs=1e-5)


def test_one_pair_gives_no_interval_and_none_is_refused() -> None:
    found = paired_interval([0.8], [0.9], confidence=0.95)
    assert (found.low, found.high, found.n) == (None, None, 1)
    with pytest.raises(ValueError, match="0 and 1 values make no pairs: pass the same seeds for both, and at least one"):
        paired_interval([], [0.9], confidence=0.95)
