"""Judge models on pictures of none of their concepts: how well confidence tells them apart, and classification that may refuse."""

import numpy as np

N_THRESHOLDS = 100  # 0.01 to 0.99 (Qin et al. 2023)


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """The chance that a positive scores higher than a negative, ties half; scores (n,), positive (n,) bool, both kinds present."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    first, last = np.searchsorted(ordered, ordered, side="left"), np.searchsorted(ordered, ordered, side="right")
    ranks = np.empty(len(scores))
    ranks[order] = (first + last + 1) / 2
    n = int(positive.sum())
    if not 0 < n < len(scores):
        raise ValueError(f"{n} of {len(scores)} rows are positive: AUROC needs both kinds")
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(scores) - n)))


def open_set_f1(predicted: np.ndarray, confidence: np.ndarray, classes: np.ndarray, *, n_classes: int) -> float:
    """C-F1: the harmonic mean of precision and recall, each averaged over the n_classes and the class of none of them, at the best
    of N_THRESHOLDS thresholds on confidence below which a picture counts as none.

    predicted, classes (n,) int, classes -1 = none of them; confidence (n,) in [0, 1].
    """
    truth = np.where(classes < 0, n_classes, classes)
    present = np.bincount(truth, minlength=n_classes + 1)
    best = 0.0
    for threshold in np.linspace(0.01, 0.99, N_THRESHOLDS):
        said = np.where(confidence >= threshold, predicted, n_classes)
        right = np.bincount(truth[said == truth], minlength=n_classes + 1)
        counts = np.bincount(said, minlength=n_classes + 1)
        judged = present > 0
        precision = (right[judged] / np.maximum(counts[judged], 1)).mean()
        recall = (right[judged] / present[judged]).mean()
        if precision + recall > 0:
            best = max(best, float(2 * precision * recall / (precision + recall)))
    return best
