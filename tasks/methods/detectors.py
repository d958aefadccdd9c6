"""Run the detectors: every detector's score of every row, out of beliefs, the kNN graph and embeddings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tasks.methods.confident_learning import label_issues, normalized_margin
from tasks.methods.outliers import neighbor_similarity, ranks, relative_mahalanobis
from tasks.methods.posterior import Beliefs
from tasks.methods.votes import given_share, vote_shares


class Graph(NamedTuple):
    """The kNN graph: neighbors (n, n_neighbors) int64, -1 = none; similarities (n, n_neighbors); groups (n,) int of copies."""

    neighbors: np.ndarray
    similarities: np.ndarray
    groups: np.ndarray


class Detected(NamedTuple):
    """Scores (n,) in [0, 1], 1 = good, in the order of the scores table; is_label_issue (n,) bool."""

    probe_score: np.ndarray
    vote_score: np.ndarray
    confident_score: np.ndarray
    is_label_issue: np.ndarray
    knn_ood_score: np.ndarray
    mahalanobis_score: np.ndarray


def detect(
    beliefs: Beliefs,
    given: np.ndarray,
    judged: np.ndarray,
    graph: Graph,
    embeddings: np.ndarray,
    weights: np.ndarray,
    *,
    shrinkage: float,
) -> Detected:
    """Every detector's score.

    given (n,) int, -1 = none; judged (n,) int: the concept that the scores are about, the given one where there is one; embeddings
    (n, d); weights (n,): 0 for rows that must shape nothing.
    """
    n_concepts = beliefs.transition.shape[1]
    trained = weights > 0
    concepts = beliefs.image[:, :n_concepts]
    pred_probs = concepts / concepts.sum(1, keepdims=True)
    votes = vote_shares(graph.neighbors, graph.similarities, judged, graph.groups, trained, n_concepts=n_concepts)
    trust = np.where(trained, beliefs.posterior[:, :n_concepts].sum(1), 0.0)
    near = neighbor_similarity(graph.neighbors, graph.similarities, trust, graph.groups)
    distance = relative_mahalanobis(embeddings, beliefs.posterior[:, :n_concepts] * weights[:, None], weights, shrinkage=shrinkage)
    issues = np.zeros(len(given), bool)
    issues[trained] = label_issues(pred_probs[trained], given[trained])
    return Detected(
        pred_probs[np.arange(len(given)), judged],
        given_share(votes, judged),
        normalized_margin(pred_probs, judged),
        issues,
        ranks(near, trained),
        ranks(distance, trained),
    )
