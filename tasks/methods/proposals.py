"""Propose concepts: clumps of off-topic images that several crawls bring, named by the words that set their texts apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Clump:
    """Rows that lie together: `members` (m,) int64, the most central first; `cohesion`: their mean cosine similarity to the centre."""

    members: np.ndarray
    cohesion: float


def find_clumps(embeddings: np.ndarray, *, min_similarity: float, min_rows: int) -> list[Clump]:
    """Clumps of L2-normalised (n, d) embeddings, the largest first: DBSCAN (Ester et al. 1996) on the cosine distance.

    A row with `min_rows` others (itself included) at a cosine of `min_similarity` or more is in the core of a clump; rows that no core
    reaches are in none. The order of the rows matters only for rows between two clumps. Raises ValueError for values out of range.
    """
    if embeddings.ndim != 2:
        raise ValueError(f"clumps are found in a matrix (n, d), not in shape {embeddings.shape}")
    if not 0 < min_similarity < 1 or min_rows < 2:
        raise ValueError(f"min_similarity {min_similarity} must lie between 0 and 1, and min_rows {min_rows} be 2 or more")
    if len(embeddings) < min_rows:
        return []
    from sklearn.cluster import DBSCAN

    exact = embeddings.astype(np.float64)
    labels = DBSCAN(eps=1 - min_similarity, min_samples=min_rows, metric="cosine", algorithm="brute").fit_predict(exact)
    clumps = [_clump(exact, np.flatnonzero(labels == label)) for label in range(labels.max() + 1)]
    return sorted(clumps, key=lambda clump: (-len(clump.members), int(clump.members.min())))


def telling_words(inside: Sequence[Collection[str]], outside: Mapping[str, int], *, prior_rows: float, n_words: int) -> list[str]:
    """The words that set the texts `inside` (the distinct words of each) apart from the counts of words `outside`, most telling first.

    Log-odds with an informative Dirichlet prior, as z-scores (Monroe, Colaresi and Quinn 2008, equations 16 and 22); the prior are the
    words of both, worth `prior_rows` words. A word has to stand in two texts, and to score above 1.96: chance gives one word in forty.
    """
    counts = Counter(word for words in inside for word in set(words))
    pooled = counts + Counter(dict(outside))
    n_inside, n_outside, n_pooled = counts.total(), sum(outside.values()), pooled.total()
    found = []
    for word, count in counts.items():
        prior = prior_rows * pooled[word] / n_pooled
        inner, outer = count + prior, outside.get(word, 0) + prior
        odds = np.log(inner / (n_inside + prior_rows - inner)) - np.log(outer / (n_outside + prior_rows - outer))
        score = odds / np.sqrt(1 / inner + 1 / outer)
        if count >= 2 and score > 1.96:
            found.append((-score, word))
    return [word for _, word in sorted(found)[:n_words]]


def _clump(embeddings: np.ndarray, members: np.ndarray) -> Clump:
    centre = embeddings[members].mean(0)
    similarities = embeddings[members] @ (centre / max(float(np.linalg.norm(centre)), np.finfo(float).tiny))
    return Clump(members[np.argsort(-similarities, kind="stable")], float(np.clip(similarities.mean(), 0, 1)))
