"""Confident learning: which given concepts are errors, out of predictions by models that never saw them.

Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", 2021.
"""

from __future__ import annotations

import numpy as np

UNREACHABLE = 2.0  # a threshold that no probability passes: for concepts without examples
TOLERANCE = 1e-6


def check_given(pred_probs: np.ndarray, given: np.ndarray) -> None:
    """Raise ValueError unless each of the given concepts (n,) is -1 or a column of the predictions (n, K), and these are numbers."""
    if pred_probs.ndim != 2 or given.shape != pred_probs.shape[:1]:
        raise ValueError(f"predictions of shape {pred_probs.shape} for given concepts of shape {given.shape}: give (n, K) and (n,)")
    outside = given[(given < -1) | (given >= pred_probs.shape[1])]
    if len(outside):
        raise ValueError(f"given concept {outside[0]} of {pred_probs.shape[1]}: number them from 0, with -1 for none")
    unknown = ~np.isfinite(pred_probs).all(1)
    if unknown.any():
        raise ValueError(f"{unknown.sum()} of {len(given)} rows have predictions that are no numbers: leave them out")


def thresholds(pred_probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(n_concepts,) mean probability of each concept among the rows given it (eq. 2); out of reach where there is none."""
    n_concepts = pred_probs.shape[1]
    known = given >= 0
    sizes = np.bincount(given[known], minlength=n_concepts)
    own = pred_probs[np.flatnonzero(known), given[known]]
    sums = np.bincount(given[known], weights=own, minlength=n_concepts)
    return np.where(sizes > 0, np.maximum(sums / np.maximum(sizes, 1), 2 * TOLERANCE), UNREACHABLE)


def confident_guesses(pred_probs: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """(n,) int: the concept whose threshold the row passes, the most probable one of all where it passes several, -1 where none."""
    passing = pred_probs >= limits - TOLERANCE
    guess = np.where(passing.sum(1) > 1, pred_probs.argmax(1), passing.argmax(1))
    return np.where(passing.any(1), guess, -1)


def confident_joint(given: np.ndarray, guesses: np.ndarray, *, n_concepts: int) -> np.ndarray:
    """(n_concepts, n_concepts) int64 counts, given concept by confident guess (eq. 1); the diagonal is at least 1."""
    counted = (given >= 0) & (guesses >= 0)
    joint = np.zeros((n_concepts, n_concepts), np.int64)
    np.add.at(joint, (given[counted], guesses[counted]), 1)
    np.fill_diagonal(joint, np.maximum(np.diag(joint), 1))
    return joint


def calibrated_joint(joint: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(n_concepts, n_concepts) float64: the joint's rows brought to the number of rows of each given concept (eq. 3)."""
    sizes = np.bincount(given[given >= 0], minlength=len(joint))
    scaled = joint / joint.sum(1, keepdims=True) * sizes[:, None]
    return np.asarray(scaled * (sizes.sum() / max(scaled.sum(), 1e-12)))


def label_issues(pred_probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(n,) bool: rows that a confident guess contradicts and whose given concept isn't the most probable one.

    pred_probs (n, n_concepts) out of fold; given (n,) int, -1 = no concept given, never an issue. The filter "confident learning"
    of the paper: the joint's cells off the diagonal.
    """
    guesses = confident_guesses(pred_probs, thresholds(pred_probs, given))
    return np.asarray((guesses >= 0) & (guesses != given) & contradicted(pred_probs, given))


def contradicted(pred_probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(n,) bool: another concept is more probable than the given one (by TOLERANCE); never where none is given."""
    rows, own = np.arange(len(given)), np.maximum(given, 0)
    raised = pred_probs.copy()
    raised[rows, own] += TOLERANCE
    return np.asarray((given >= 0) & (raised.argmax(1) != given))


def normalized_margin(pred_probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(n,) float32 in [0, 1], 1 = good: (probability of the given concept - greatest other one + 1) / 2.

    Rows without a given concept are judged by their most probable one.
    """
    rows = np.arange(len(given))
    concept = np.where(given >= 0, given, pred_probs.argmax(1))
    own = pred_probs[rows, concept]
    others = pred_probs.copy()
    others[rows, concept] = 0.0  # of a single concept nothing is left, which speaks for it
    return np.asarray(((own - others.max(1) + 1) / 2).astype(np.float32))
