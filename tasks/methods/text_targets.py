"""Weigh words: what each token of the texts tells of the concepts, and what a network should say of an image, out of noisy texts."""

import numpy as np


def token_information(tokens: np.ndarray, concepts: np.ndarray, *, prior_rows: float) -> np.ndarray:
    """(vocabulary,) float64 in [0, 1]: how much a token tells of the concept that its row was searched for; 1 = all.

    tokens (n, length) int64, 0 = padding; concepts (n,) int64, -1 = none given. KL divergence from the concepts at large to the concepts of
    the token's rows, over the entropy of the former; shrunk by `prior_rows` rows drawn at large, so that a rare token tells little.
    With fewer than two concepts nothing can be told apart and every token gets 1.
    """
    size = int(tokens.max(initial=0)) + 1
    rows = np.flatnonzero(concepts >= 0)
    if len(np.unique(concepts[rows])) < 2:
        return np.ones(size)
    share = np.bincount(concepts[rows]) / len(rows)
    pairs = np.unique(np.stack([np.repeat(rows, tokens.shape[1]), tokens[rows].reshape(-1)], axis=1), axis=0)
    counts = np.zeros((size, len(share)))
    np.add.at(counts, (pairs[:, 1], concepts[pairs[:, 0]]), 1)
    of_token = (counts + prior_rows * share) / (counts.sum(1, keepdims=True) + prior_rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = np.where(of_token > 0, of_token * np.log(of_token / share), 0).sum(1)
    entropy = -(share[share > 0] * np.log(share[share > 0])).sum()
    information: np.ndarray = np.clip(divergence / entropy, 0, 1)
    return information


def word_targets(tokens: np.ndarray, information: np.ndarray, *, min_count: int) -> np.ndarray:
    """(n, length) int64 tokens -> (n, n_words) float32: a row's shares among the words that at least `min_count` rows have.

    Shares go by the tokens' `information` ((vocabulary,) in [0, 1]). Tokens that every row has (start, end, padding) name nothing and are
    left out. A row without such words sums to 0.
    """
    n = len(tokens)
    rows = np.repeat(np.arange(n), tokens.shape[1])
    pairs = np.unique(np.stack([rows, tokens.reshape(-1)], axis=1), axis=0)
    vocabulary, column, counts = np.unique(pairs[:, 1], return_inverse=True, return_counts=True)
    chosen = (counts >= min_count) & (counts < n) & (vocabulary != 0)
    place = np.cumsum(chosen) - 1
    column = column.reshape(-1)
    kept = chosen[column]
    targets = np.zeros((n, int(chosen.sum())), np.float32)
    targets[pairs[kept, 0], place[column[kept]]] = information[pairs[kept, 1]]
    totals = targets.sum(1, keepdims=True)
    np.divide(targets, totals, out=targets, where=totals > 0)
    return targets
