"""Suggest a concept for every image, and say how well a text fits one, out of beliefs about the true state."""

from __future__ import annotations

import numpy as np


def suggestions(chances: np.ndarray, given: np.ndarray, *, min_given_share: float) -> np.ndarray:
    """(n,) int: the suggested concept of each row.

    chances (n, n_concepts); given (n,) int, -1 = no concept. The given concept is suggested only where its share among the concepts is at
    least `min_given_share`: below, a person who doubts it is helped by the best other one. Without a given concept the best one is.
    """
    if chances.shape[1] < 2:
        return np.zeros(len(chances), np.int64)
    rows = np.arange(len(chances))
    own = np.maximum(given, 0)
    share = chances[rows, own] / np.maximum(chances.sum(1), 1e-12)
    others = chances.copy()
    others[rows, own] = -1.0
    return np.asarray(np.where(given < 0, chances.argmax(1), np.where(share >= min_given_share, own, others.argmax(1))))


def word_fit(word_targets: np.ndarray, word_probs: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """(n,) float64, higher = better: mean log ratio of what the image predicts of the text's words over how common they are.

    word_targets (n, n_words): share of each word in its text, 0 without words; word_probs (n, n_words): by networks that never saw
    the pair; frequencies (n_words,).
    """
    ratio = np.log(np.maximum(word_probs, 1e-9)) - np.log(np.maximum(frequencies, 1e-9))
    return np.asarray((word_targets * ratio).sum(1))


def text_scores(log_ratio: np.ndarray, has_words: np.ndarray) -> np.ndarray:
    """(n,) float32 in [0, 1], 1 = the text belongs to the image: the chance at even odds; 0.5 for a text that says nothing, or none."""
    return np.where(has_words, 1 / (1 + np.exp(-np.clip(log_ratio, -30, 30))), 0.5).astype(np.float32)
