"""Find label errors where an image has any number of concepts: confident learning, each concept judged against the rest.

Per concept the problem is binary: given as present or absent, predicted with chances [1 - p, p]. So a wrong concept (given, not shown) and
a missing one (shown, not given) are both found. Entries of -1 are unknown: they are no issue, have no score and teach no threshold.

Northcutt, Jiang and Chuang 2021 for each concept; Thyagarajan, Snorrason, Northcutt and Mueller, "Identifying incorrect annotations in
multi-label classification data", 2022, for one score per image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np

from tasks.methods.confident_learning import calibrated_joint, confident_guesses, confident_joint, thresholds
from tasks.methods.label_filters import Rule, find_issues
from tasks.methods.label_quality import Quality, quality_scores

Aggregate = Literal["moving_average", "softmin"]
AGGREGATES: tuple[Aggregate, ...] = get_args(Aggregate)


def entry_issues(pred_probs: np.ndarray, labels: np.ndarray, *, rule: Rule, noise_share: float = 1.0, min_rows: int = 1) -> np.ndarray:
    """(n, K) bool: the entries that the rule calls wrong, concept by concept; an image has an issue where any of its entries has.

    pred_probs (n, K) float in [0, 1], out of fold, rows of any sum; labels (n, K) int: 1 = present, 0 = absent, -1 = unknown. The rules
    are those of `label_filters.find_issues`, with its `noise_share` and `min_rows` (of each state of each concept). A concept of which
    all rows are given one state has no issue, for nothing says how sure the other one must be; predicted_neq_given alone doesn't ask.
    Raises ValueError for shapes that differ, other labels, probabilities outside [0, 1] and an unknown rule.
    """
    found = np.zeros(labels.shape, bool)
    for concept, chances, states in one_vs_rest(pred_probs, labels):
        found[:, concept] = find_issues(chances, states, rule=rule, noise_share=noise_share, min_rows=min_rows)
    return found


def entry_scores(pred_probs: np.ndarray, labels: np.ndarray, *, quality: Quality, adjusted: bool = False) -> np.ndarray:
    """(n, K) float64 in [0, 1], 1 = the entry is right; NaN where it is unknown.

    Arguments and errors are those of `entry_issues`; `quality` and `adjusted` those of `label_quality.quality_scores`.
    """
    scores = np.full(labels.shape, np.nan)
    for concept, chances, states in one_vs_rest(pred_probs, labels):
        scores[:, concept] = quality_scores(chances, states, quality=quality, adjusted=adjusted)
    return np.where(labels >= 0, scores, np.nan)


def image_scores(
    scores: np.ndarray, *, aggregate: Aggregate = "moving_average", alpha: float = 0.8, temperature: float = 0.1
) -> np.ndarray:
    """(n,) float64 in [0, 1], 1 = all entries are right, out of (n, K) `entry_scores`; NaN for an image of which nothing is known.

    - moving_average: from the greatest score to the least, each weighs `alpha` against all before it, so that the worst concept has most
      of the say (0.8 is the paper's);
    - softmin: mean weighted by softmax of (1 - score) / `temperature`; near 0 it is the least score.

    Raises ValueError for another aggregate, an alpha outside [0, 1] and a temperature that isn't positive.
    """
    if aggregate not in AGGREGATES:
        raise ValueError(f"aggregate '{aggregate}' is unknown: use one of {', '.join(AGGREGATES)}")
    if not 0 <= alpha <= 1 or temperature <= 0:
        raise ValueError(f"alpha is {alpha}, temperature {temperature}: the first lies in [0, 1], the second above 0")
    if not scores.shape[1]:
        return np.full(len(scores), np.nan)
    if aggregate == "softmin":
        known = ~np.isnan(scores)
        least = np.where(known, scores, np.inf).min(1, keepdims=True)
        weights = np.where(
            known, np.exp((np.where(known.any(1, keepdims=True), least, 0.0) - np.where(known, scores, 1.0)) / temperature), 0
        )
        total = weights.sum(1)
        mean = (weights * np.where(known, scores, 0.0)).sum(1) / np.where(total > 0, total, 1.0)
        return np.asarray(np.where(total > 0, mean, np.nan))
    ordered = -np.sort(-scores, axis=1)  # NaN goes last
    average = ordered[:, 0].copy()
    for column in ordered[:, 1:].T:
        average = np.where(np.isnan(column), average, alpha * column + (1 - alpha) * average)
    return np.asarray(average)


def error_counts(pred_probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(K, 2) float64: how many entries of each concept are estimated to be missing (given 0, shown) and wrong (given 1, not shown).

    The cells off the diagonal of each concept's calibrated joint (eq. 3 of Northcutt et al.). Arguments and errors are those of
    `entry_issues`.
    """
    counts = np.zeros((labels.shape[1], 2))
    for concept, chances, states in one_vs_rest(pred_probs, labels):
        joint = confident_joint(states, confident_guesses(chances, thresholds(chances, states)), n_concepts=2)
        calibrated = calibrated_joint(joint, states)
        counts[concept] = calibrated[0, 1], calibrated[1, 0]
    return counts


def one_vs_rest(pred_probs: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Of each concept its number, chances (n, 2) of absent and present, and given states (n,) int."""
    if labels.ndim != 2 or pred_probs.shape != labels.shape:
        raise ValueError(f"labels {labels.shape} and pred_probs {pred_probs.shape} must be (n, K) both: one entry per image and concept")
    if not np.isin(labels, (-1, 0, 1)).all():
        raise ValueError(f"labels hold {labels[~np.isin(labels, (-1, 0, 1))][0]}: an entry is 1 (present), 0 (absent) or -1 (unknown)")
    if not ((pred_probs >= 0) & (pred_probs <= 1)).all():
        bad = pred_probs[~((pred_probs >= 0) & (pred_probs <= 1))][0]
        raise ValueError(f"pred_probs hold {bad}: give probabilities in [0, 1], such as the sigmoid of logits")
    for concept, states in enumerate(labels.T):
        present = pred_probs[:, concept].astype(np.float64)
        yield concept, np.stack([1 - present, present], axis=1), states.astype(np.int64)
