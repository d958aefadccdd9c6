"""Score given concepts: three qualities in [0, 1], 1 = good, out of predictions, with an adjustment for frequent concepts.

Kuan and Mueller, "Model-agnostic label quality scoring to detect real-world label errors", 2022.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from tasks.methods.confident_learning import TOLERANCE, check_given, normalized_margin, thresholds

Quality = Literal["self_confidence", "normalized_margin", "confidence_weighted_entropy"]


def quality_scores(pred_probs: np.ndarray, given: np.ndarray, *, quality: Quality, adjusted: bool = False) -> np.ndarray:
    """(n,) float64 in [0, 1], 1 = the given concept is right; rows without one (-1) are judged by their most probable concept.

    pred_probs (n, K) out of fold. `adjusted`: probabilities are taken relative to each concept's threshold first. Raises ValueError for an
    unknown quality, and for predictions and given concepts that don't belong together.
    """
    check_given(pred_probs, given)
    probs = adjusted_probs(pred_probs, thresholds(pred_probs, given)) if adjusted else pred_probs
    concept = np.where(given >= 0, given, probs.argmax(1))
    own = probs[np.arange(len(given)), concept]
    if quality == "self_confidence":
        return np.asarray(own, np.float64)
    if quality == "normalized_margin":
        return normalized_margin(probs, concept).astype(np.float64)
    if quality != "confidence_weighted_entropy":
        raise ValueError(f"quality '{quality}' is unknown: use self_confidence, normalized_margin or confidence_weighted_entropy")
    doubt = normalized_entropy(probs) / np.maximum(own, TOLERANCE)
    return np.asarray(np.where(doubt > TOLERANCE, np.log1p(doubt) / np.maximum(doubt, TOLERANCE), 1.0))


def adjusted_probs(pred_probs: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """(n, K), rows sum to 1: probabilities less each concept's threshold, raised by the greatest one (section 4 of the paper).

    A concept that the model favours must be so much more probable before it counts. limits (K,); those out of reach count as the greatest
    that is within reach.
    """
    reachable = limits[limits <= 1]
    limits = np.minimum(limits, reachable.max() if len(reachable) else 1.0)
    shifted = pred_probs - limits + limits.max()
    return np.asarray(shifted / shifted.sum(1, keepdims=True))


def normalized_entropy(pred_probs: np.ndarray) -> np.ndarray:
    """(n,) float64 in [0, 1]: entropy over its greatest value; 0 for a single concept."""
    if pred_probs.shape[1] < 2:
        return np.zeros(len(pred_probs))
    logs = np.log(np.where(pred_probs > 0, pred_probs, 1.0))
    return np.asarray(-(pred_probs * logs).sum(1) / np.log(pred_probs.shape[1]))
