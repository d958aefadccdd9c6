"""Confident learning: the worked example, and properties."""

import numpy as np
import pytest

from tasks.methods.confident_learning import (
    calibrated_joint,
    confident_guesses,
    confident_joint,
    label_issues,
    normalized_margin,
    thresholds,
)

PRED_PROBS = np.array(
    [(0.9, 0.05, 0.05), (0.8, 0.1, 0.1), (0.2, 0.7, 0.1), (0.1, 0.8, 0.1), (0.05, 0.9, 0.05), (0.6, 0.3, 0.1), (0.1, 0.2, 0.7),
     (0.1, 0.1, 0.8), (0.3, 0.6, 0.1), (0.34, 0.33, 0.33)]
)  # fmt: skip
GIVEN = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2])


def test_the_worked_example():
    limits = thresholds(PRED_PROBS, GIVEN)
    assert limits == pytest.approx([0.63333, 0.66667, 0.4825], abs=1e-4)
    guesses = confident_guesses(PRED_PROBS, limits)
    assert np.flatnonzero(guesses < 0).tolist() == [5, 8, 9]
    joint = confident_joint(GIVEN, guesses, n_concepts=3)
    assert joint.tolist() == [[2, 1, 0], [0, 2, 0], [0, 0, 2]]
    assert calibrated_joint(joint, GIVEN).tolist() == [[2, 1, 0], [0, 3, 0], [0, 0, 4]]
    assert np.flatnonzero(label_issues(PRED_PROBS, GIVEN)).tolist() == [2]


def test_a_concept_without_rows_is_out_of_reach():
    limits = thresholds(np.array([[0.3, 0.7], [0.4, 0.6]]), np.array([0, 0]))
    assert limits[1] > 1
    assert not label_issues(np.array([[0.3, 0.7], [0.4, 0.6]]), np.array([0, 0])).any()


def test_rows_without_a_concept_are_no_issues_and_count_nowhere():
    given = np.where(np.arange(10) % 3 == 0, -1, GIVEN)
    assert not label_issues(PRED_PROBS, given)[given < 0].any()
    assert confident_joint(given, given, n_concepts=3).sum() == (given >= 0).sum()


def test_margin():
    assert normalized_margin(PRED_PROBS[:3], np.array([0, 0, 0])) == pytest.approx([0.925, 0.85, 0.25])
    assert normalized_margin(PRED_PROBS[2:3], np.array([-1])) == pytest.approx([0.75])


def test_planted_flips_are_found():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 2000)
    given = np.where(rng.random(2000) < 0.2, rng.integers(0, 5, 2000), truth)
    pred_probs = np.full((2000, 5), 0.02) + 0.9 * np.eye(5)[truth] + rng.random((2000, 5)) * 0.2
    pred_probs /= pred_probs.sum(1, keepdims=True)
    found = label_issues(pred_probs, given)
    assert (found == (given != truth)).mean() > 0.98
