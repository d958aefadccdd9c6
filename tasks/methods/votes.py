"""Let neighbours vote: the share of an image's nearest neighbours that carry each concept."""

from __future__ import annotations

import numpy as np

from tasks.methods.blocks import blocks


def vote_shares(
    neighbors: np.ndarray, similarities: np.ndarray, given: np.ndarray, groups: np.ndarray, voters: np.ndarray, *, n_concepts: int
) -> np.ndarray:
    """(n, n_concepts) float32, rows sum to 1: soft votes of the neighbours, each as strong as it is similar.

    neighbors (n, n_neighbors) int row numbers, -1 where there is none; similarities (n, n_neighbors) float32 cosine; given (n,) int,
    -1 = no concept;
    groups (n,) int: members of one's own group of copies have no vote, or a wrong label would vouch for itself;
    voters (n,) bool.
    Rows without a voter are uniform. SimiFeat (Zhu et al. 2022), soft kNN label count without the row itself.
    """
    n, n_neighbors = neighbors.shape
    if not n_neighbors:
        return np.full((n, n_concepts), 1 / n_concepts, np.float32)
    shares = np.zeros((n, n_concepts), np.float32)
    for part in blocks(n, 8 * max(n_neighbors, n_concepts), neighbors, similarities):
        there = np.maximum(neighbors[part], 0)
        counts = (neighbors[part] >= 0) & voters[there] & (given[there] >= 0) & (groups[there] != groups[part, None])
        strength, votes = np.where(counts, np.maximum(similarities[part], 0.0), 0.0), np.zeros((len(there), n_concepts))
        for j in range(n_neighbors):
            np.add.at(votes, (np.arange(len(there)), np.maximum(given[there[:, j]], 0)), strength[:, j])
        total = votes.sum(1, keepdims=True)
        shares[part] = np.where(total > 0, votes / np.where(total > 0, total, 1.0), 1 / n_concepts)
    return shares


def given_share(shares: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(n,) float32 in [0, 1], 1 = every vote is for the given concept; without a given concept the largest share."""
    own = shares[np.arange(len(given)), np.maximum(given, 0)]
    return np.asarray(np.where(given >= 0, own, shares.max(1)).astype(np.float32))
