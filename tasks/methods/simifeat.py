"""Find label errors by neighbours over rounds: SimiFeat by Zhu, Dong and Liu, "Detecting corrupted labels without training a
model to predict", 2022.

Every round lets a random part of the rows count the concepts around each of them, and flags by vote (the given concept isn't the most
counted one) or by rank (as many of the least supported rows of each concept as its noise says). Rounds vote on the flag.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

from tasks.methods.consensus import draws

Rule = Literal["vote", "rank"]
RULES: tuple[Rule, ...] = get_args(Rule)
MIN_NOISE, MAX_NOISE = 0.05, 0.95  # shares of a concept that may be flagged where the estimate lies outside (0, 1)


class Judgement(NamedTuple):
    """noisy_chance (n,) in (0, 1): how often a row was flagged, drawn towards a half; suggested (n,) int: another concept than the given
    one; confidence (n,) in [0, 1] of that suggestion."""

    noisy_chance: np.ndarray
    suggested: np.ndarray
    confidence: np.ndarray


def label_counts(
    neighbors: np.ndarray,
    similarities: np.ndarray,
    given: np.ndarray,
    groups: np.ndarray,
    voters: np.ndarray,
    *,
    n_concepts: int,
    n_neighbors: int,
) -> np.ndarray:
    """(n, n_concepts) float64, rows of length 1 or 0: soft counts of given concepts among each row and its nearest voters (section 3.2).

    neighbors (n, m) int64, nearest first, -1 = none; similarities (n, m) cosine; voters (n,) bool. `n_neighbors` counts the row itself,
    which speaks as loud as a neighbour at the distance that its two nearest ones point to, or it would outvote them all. Copies of the
    row have no vote.
    """
    n = len(given)
    everyone = np.arange(n)
    counts = np.zeros((n, n_concepts))
    own = np.zeros((n, 2))
    seen = np.zeros(n, np.int64)
    for column in range(neighbors.shape[1]):
        there = np.maximum(neighbors[:, column], 0)
        counted = (neighbors[:, column] >= 0) & voters[there] & (given[there] >= 0) & (groups[there] != groups) & (seen < n_neighbors - 1)
        strength = np.maximum(similarities[:, column], 0.0)
        rows = everyone[counted]
        np.add.at(counts, (rows, given[there[rows]]), strength[rows])
        for place in (0, 1):
            at = counted & (seen == place)
            own[at, place] = strength[at]
        seen += counted
    itself = voters & (given >= 0) & (seen > 0)
    loudness = np.clip(np.where(seen > 1, 2 * own[:, 0] - own[:, 1], own[:, 0]), 0.0, 1.0)
    np.add.at(counts, (everyone[itself], given[itself]), loudness[itself])
    return np.asarray(counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-12))


def vote_flags(counts: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(n,) bool: the given concept isn't among the most counted ones; never for rows without a given concept or without a count."""
    own = counts[np.arange(len(given)), np.maximum(given, 0)]
    return np.asarray((given >= 0) & (own < counts.max(1, initial=0.0) - 1e-12))


def rank_flags(counts: np.ndarray, given: np.ndarray, noise: np.ndarray, voters: np.ndarray) -> np.ndarray:
    """(n,) bool: of each given concept the share `noise` (K,) of the voters with the smallest count of their own (eq. 7).

    voters (n,) bool: all others of the concept are held to the voters' limit and don't move it; without voters nobody is flagged.
    Raises ValueError unless there is one noise for each column of the counts.
    """
    if noise.shape != counts.shape[1:]:
        raise ValueError(f"noise of shape {noise.shape} for {counts.shape[1]} concepts: give one share for each")
    share = np.where((noise > 0) & (noise < 1), noise, np.clip(noise, MIN_NOISE, MAX_NOISE))
    support = counts[np.arange(len(given)), np.maximum(given, 0)]
    flags = np.zeros(len(given), bool)
    for concept in range(counts.shape[1]):
        mine = given == concept
        shaping = support[mine & voters]
        n_flagged = round(float(share[concept]) * len(shaping))
        if n_flagged > 0:
            limit = np.partition(shaping, n_flagged - 1)[n_flagged - 1]
            tied = (shaping <= limit).sum() <= n_flagged  # ties go together, or the order of the rows would decide
            flags |= mine & ((support < limit) | (tied & (support == limit)))
    return flags


def rounds(
    neighbors: np.ndarray,
    similarities: np.ndarray,
    given: np.ndarray,
    groups: np.ndarray,
    weights: np.ndarray,
    *,
    n_concepts: int,
    n_neighbors: int,
    n_rounds: int,
    share: float,
    rule: Rule,
    noise: np.ndarray | None = None,
    seed: int,
) -> Judgement:
    """Judge every row over `n_rounds` draws of a `share` of the groups of copies (section 3.4).

    weights (n,): rows of 0 have no vote, move no limit and are judged in every round; noise (K,): share of wrong rows among those given
    each concept, such as 1 minus the diagonal of `consensus.error_chances`. Raises ValueError if the rule is "rank" and there is none,
    for an unknown rule, for no round, and for a share outside (0, 1].
    """
    if rule not in RULES:
        raise ValueError(f"rule '{rule}' is unknown: use vote or rank")
    if n_rounds < 1 or not 0 < share <= 1:
        raise ValueError(f"n_rounds {n_rounds}, share {share}: judge in 1 round or more, by a share above 0 and up to 1")
    if rule == "rank" and noise is None:
        raise ValueError("rule 'rank' needs the noise of every concept: give `noise`, or use rule 'vote'")
    everyone, idle = np.arange(len(given)), weights <= 0
    flagged, judged_times = np.zeros(len(given)), np.zeros(len(given))
    votes = np.zeros((len(given), n_concepts))
    for number in range(n_rounds):
        drawn = draws(groups, seed=seed + number) < share
        judged, voters = drawn | idle, drawn & ~idle
        counts = label_counts(neighbors, similarities, given, groups, voters, n_concepts=n_concepts, n_neighbors=n_neighbors)
        flags = vote_flags(counts, given) if rule == "vote" or noise is None else rank_flags(counts, given, noise, voters)
        flagged += flags & judged
        judged_times += judged
        heard = judged & (counts.max(1, initial=0.0) > 0)
        votes[everyone[heard], counts[heard].argmax(1)] += 1
    chance = (flagged + 1) / (judged_times + 2)
    others = (votes + 1) / (votes.sum(1, keepdims=True) + n_concepts)
    if n_concepts > 1:
        others[everyone[given >= 0], given[given >= 0]] = 0.0
    suggested = others.argmax(1)
    return Judgement(chance, suggested, others[everyone, suggested] * chance)


def long_tail_scores(similarities: np.ndarray, neighbors: np.ndarray, *, n_neighbors: int) -> np.ndarray:
    """(n,) float64, from 1 = common down to 0.24 = rare: 1 less Docta's long-tail score, so that rare patterns come last as elsewhere.

    That score is 2 / (1 + exp(-m)) - 1 of the mean cosine distance m to the nearest neighbours. similarities (n, m) cosine; neighbors
    (n, m) int64, nearest first, -1 = none. 0 for rows without a neighbour.
    """
    there = neighbors[:, :n_neighbors] >= 0
    n_near = there.sum(1)
    mean = ((1 - similarities[:, :n_neighbors]) * there).sum(1) / np.maximum(n_near, 1)
    return np.where(n_near > 0, 2 - 2 / (1 + np.exp(-mean)), 0.0)
