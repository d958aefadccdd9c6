"""Choose label errors: seven rules of confident learning, out of predictions by models that never saw the rows.

Northcutt, Jiang and Chuang 2021, section 3.2; the rules and their order of steps are those that cleanlab has made the usual ones. Ties at
a cut are broken by numpy's own sort, as there, so that the outcomes are the same.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from tasks.methods.confident_learning import (
    calibrated_joint,
    check_given,
    confident_guesses,
    confident_joint,
    contradicted,
    label_issues,
    normalized_margin,
    thresholds,
)

Rule = Literal[
    "confident_learning",
    "prune_by_class",
    "prune_by_noise_rate",
    "both",
    "predicted_neq_given",
    "low_self_confidence",
    "low_normalized_margin",
]
RULES: tuple[Rule, ...] = get_args(Rule)


def find_issues(pred_probs: np.ndarray, given: np.ndarray, *, rule: Rule, noise_share: float = 1.0, min_rows: int = 1) -> np.ndarray:
    """(n,) bool: the rows whose given concept the rule calls an error.

    pred_probs (n, K) out of fold; given (n,) int, -1 = none given, never an issue. `noise_share` in [0, 1] of the estimated errors is
    looked for by the three pruning rules, which leave `min_rows` of every concept.

    - confident_learning: rows that a confident guess contradicts;
    - prune_by_class: of each concept as many rows as the joint says are wrong, the least probable first;
    - prune_by_noise_rate: of each pair of concepts as many rows as the joint says, the largest margins first;
    - both: rows that both call errors; predicted_neq_given: another concept is more probable;
    - low_self_confidence, low_normalized_margin: as many rows as confident_learning finds, the lowest scores first.

    All but the last two spare rows whose given concept is the most probable one. Raises ValueError for an unknown rule, for
    predictions and given concepts that don't belong together, and for a `noise_share` or `min_rows` out of range.
    """
    if rule not in RULES:
        raise ValueError(f"rule '{rule}' is unknown: use one of {', '.join(RULES)}")
    if not 0 <= noise_share <= 1:
        raise ValueError(f"noise_share {noise_share} is a share of the estimated errors: give a number from 0 to 1")
    if min_rows < 0:
        raise ValueError(f"min_rows {min_rows} is a number of rows to leave: give 0 or more")
    check_given(pred_probs, given)
    if rule == "confident_learning":
        return label_issues(pred_probs, given)
    if rule == "predicted_neq_given":
        return contradicted(pred_probs, given)
    known = np.flatnonzero(given >= 0)
    found = np.zeros(len(given), bool)
    if rule in ("low_self_confidence", "low_normalized_margin"):
        own = pred_probs[known, given[known]] if rule == "low_self_confidence" else normalized_margin(pred_probs[known], given[known])
        found[known[np.argsort(own)[: int(label_issues(pred_probs, given).sum())]]] = True
        return found
    probs, labels = pred_probs[known], given[known]
    counts = prune_counts(probs, labels, noise_share=noise_share, min_rows=min_rows)
    masks = []
    if rule in ("prune_by_class", "both"):
        masks.append(_by_class(probs, labels, counts, min_rows))
    if rule in ("prune_by_noise_rate", "both"):
        masks.append(_by_noise_rate(probs, labels, counts, min_rows))
    found[known] = np.logical_and.reduce(masks)
    return np.asarray(found & contradicted(pred_probs, given))


def prune_counts(pred_probs: np.ndarray, given: np.ndarray, *, noise_share: float, min_rows: int) -> np.ndarray:
    """(K, K) int64: how many rows given each concept (row) are estimated to show each concept (column); diagonals keep `min_rows`."""
    n_concepts = pred_probs.shape[1]
    guesses = confident_guesses(pred_probs, thresholds(pred_probs, given))
    joint = rounded_rows(calibrated_joint(confident_joint(given, guesses, n_concepts=n_concepts), given))
    diagonal = np.maximum(np.diag(joint), min_rows)
    missing = (diagonal - np.diag(joint)) / np.maximum((joint > 0).sum(1) - 1.0, 1.0)
    spared = np.maximum(joint - missing[:, None], 0.0)
    np.fill_diagonal(spared, diagonal)
    shared = spared * noise_share
    np.fill_diagonal(shared, diagonal + (1 - noise_share) * (spared.sum(1) - diagonal))
    return np.asarray(shared, np.int64)


def rounded_rows(values: np.ndarray) -> np.ndarray:
    """(m, k) int64: rounded so that every row keeps its rounded sum; the entries that rounding has moved furthest give way."""
    result = np.round(values)
    for row, exact in zip(result, values, strict=True):
        missing = int(np.round(exact.sum().round() - row.sum()))
        step = 1 if missing > 0 else -1
        order = np.argsort(exact - row)
        row[order[::-step][: abs(missing)]] += step
    return result.astype(np.int64)


def _by_class(pred_probs: np.ndarray, given: np.ndarray, counts: np.ndarray, min_rows: int) -> np.ndarray:
    found = np.zeros(len(given), bool)
    for concept in range(len(counts)):
        mine = np.flatnonzero(given == concept)
        n_wrong = len(mine) - counts[concept, concept]
        if len(mine) > min_rows and n_wrong > 0:
            found[mine[np.argsort(pred_probs[mine, concept])[:n_wrong]]] = True
    return found


def _by_noise_rate(pred_probs: np.ndarray, given: np.ndarray, counts: np.ndarray, min_rows: int) -> np.ndarray:
    found = np.zeros(len(given), bool)
    for concept in range(len(counts)):
        mine = np.flatnonzero(given == concept)
        if len(mine) <= min_rows:
            continue
        for other in np.flatnonzero(counts[concept]):
            if other != concept:
                margin = pred_probs[mine, other] - pred_probs[mine, concept]
                found[mine[np.argsort(-margin)[: counts[concept, other]]]] = True
    return found
