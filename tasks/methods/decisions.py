"""Decide: keep, correct or drop every sample, with every reason, out of calibrated beliefs.

The target is a purity; the threshold on confidence follows from it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.methods.reasons import Reason

ORDER = list(Reason)


def verdicts(given_probability: np.ndarray, off_topic_probability: np.ndarray, has_concept: np.ndarray) -> list[str | None]:
    """The likeliest of right, wrong_concept and off_topic for each row; None where no concept was given, or nothing is known (NaN)."""
    wrong = 1.0 - given_probability - off_topic_probability
    best = np.stack([given_probability, wrong, off_topic_probability]).argmax(0)
    names = np.array(["right", "wrong_concept", "off_topic"], object)[best]
    known = has_concept & ~np.isnan(given_probability)
    return [str(name) if there else None for name, there in zip(names, known, strict=True)]


def purity_threshold(confidence: np.ndarray, *, target: float, errors: np.ndarray | float = 0.0) -> float:
    """The lowest confidence c for which rows of at least c have an expected purity (their mean confidence) of `target`.

    errors (n,): what each row takes from the mean, for a purity that is reached with certainty and not on average. 1 where not even the
    surest rows reach it, so that only certain rows are kept.
    """
    order = np.argsort(-confidence.astype(np.float64), kind="stable")
    ordered, least = confidence.astype(np.float64)[order], (confidence - np.broadcast_to(errors, confidence.shape))[order]
    if not len(ordered):
        return 1.0
    reached = np.cumsum(least) / np.arange(1, len(ordered) + 1) >= target - 1e-9
    last_of_ties = np.append(ordered[:-1] != ordered[1:], True)
    allowed = np.flatnonzero(reached & last_of_ties)
    return float(ordered[allowed[-1]]) if len(allowed) else 1.0


def thresholds(confidence: np.ndarray, errors: np.ndarray, groups: Sequence[np.ndarray], *, target: float) -> list[float]:
    """The threshold of all rows, then that of each group: the target holds for all rows above the first, and for each group by itself.

    groups of (n,) bool, such as the rows whose suggested concept is not the given one: mistakes gather there, and a mean over all rows
    would hide them. errors (n,) as for `purity_threshold`.
    """
    first = purity_threshold(confidence, target=target, errors=errors)
    return [first, *(max(first, purity_threshold(confidence[mine], target=target, errors=errors[mine])) for mine in groups)]


def survivors(groups: np.ndarray, confidence: np.ndarray, eligible: np.ndarray, *, rule: str) -> np.ndarray:
    """(n,) bool: one row of each group of copies that has an eligible one.

    groups (n,) int, -1 = in none (never a survivor). Rule "first": the first eligible row, which a copy appended later can't change;
    "best": the one of highest confidence, the first of equal ones. Raises ValueError for another.
    """
    if rule not in ("first", "best"):
        raise ValueError(f"rule '{rule}' for survivors is unknown: use first or best")
    rows = np.flatnonzero(eligible & (groups >= 0))
    rank = np.zeros(len(rows)) if rule == "first" else -confidence[rows].astype(np.float64)
    order = rows[np.lexsort((rows, rank, groups[rows]))]
    alive = np.zeros(len(groups), bool)
    alive[order[np.unique(groups[order], return_index=True)[1]]] = True
    return alive


def pruned(concepts: np.ndarray, confidence: np.ndarray, candidates: np.ndarray, *, max_imbalance: float) -> np.ndarray:
    """(n,) bool: candidates above the cap of their concept, the least confident first.

    concepts (n,) int; the cap is `max_imbalance` times the median size of the concepts that have candidates.
    """
    result = np.zeros(len(concepts), bool)
    sizes = np.bincount(concepts[candidates]) if candidates.any() else np.zeros(0, np.int64)
    if not len(sizes):
        return result
    cap = max(1, int(min(max_imbalance * float(np.median(sizes[sizes > 0])), sizes.max())))  # no limit is infinite
    for concept in np.flatnonzero(sizes > cap):
        mine = np.flatnonzero(candidates & (concepts == concept))
        result[mine[np.lexsort((mine, -confidence[mine]))][cap:]] = True
    return result


def doubts(
    confidence: np.ndarray,
    off_topic_probability: np.ndarray,
    text_score: np.ndarray,
    has_concept: np.ndarray,
    *,
    threshold: float | np.ndarray,
    min_text_score: float,
) -> dict[Reason, np.ndarray]:
    """What the scores hold against each row: reason -> (n,) bool; one threshold for all, or (n,).

    A row under the threshold is out of distribution where that is likelier than not, else its label can't be trusted. Rows without a
    concept have no label to be wrong; there the text must fit its image instead.
    """
    unsure = confidence < threshold
    off_topic = unsure & (off_topic_probability > 0.5)
    return {
        Reason.OUT_OF_DISTRIBUTION: off_topic,
        Reason.LABEL_NOISE: unsure & ~off_topic & has_concept,
        Reason.MISMATCHED_TEXT: ~has_concept & (text_score < min_text_score),
    }


def listed(flags: dict[Reason, np.ndarray], before: list[list[str]]) -> list[list[str]]:
    """All reasons of each row in the funnel's order: those known before and those that are flagged."""
    found = [set(row) for row in before]
    for reason, mask in flags.items():
        for row in np.flatnonzero(mask):
            found[row].add(reason.value)
    return [[reason.value for reason in ORDER if reason.value in row] for row in found]


def review_priority(confidence: np.ndarray, given_probability: np.ndarray) -> np.ndarray:
    """(n,) float32 in [0, 1]: expected gain of asking a person, the variance of the less certain of suggestion and given concept, times 4.

    Rows without a given concept count by the suggestion alone; NaN where nothing is known.
    """
    doubt = confidence * (1 - confidence)
    given = np.where(np.isnan(given_probability), doubt, given_probability * (1 - given_probability))
    return np.asarray((4 * np.maximum(doubt, given)).astype(np.float32))
