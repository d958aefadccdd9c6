"""Estimate label noise by consensus: how often each concept is given for each other one, out of images and their two nearest neighbours.

An image and its two nearest neighbours mostly show the same, and each was named by itself. So the frequencies of single names, pairs and
triples determine the prior and the transition matrix, without a trained model or a clean label. Zhu, Song and Liu, "Clusterability as an
alternative to anchor points when learning with noisy labels", 2021 (HOC). Off-topic clumps break the assumption: leave them out by weight.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

RATE, MEAN_DECAY, SQUARE_DECAY = 0.1, 0.9, 0.999  # of Adam; HOC's learning rate, the others Adam's own


class Consensus(NamedTuple):
    """Frequencies of given concepts: first (K,) of rows, second (K, K) of rows and nearest neighbours, third (m, K, K) of triples whose
    row was given the concepts `sliced` (m,)."""

    first: np.ndarray
    second: np.ndarray
    third: np.ndarray
    sliced: np.ndarray


def draws(groups: np.ndarray, *, seed: int) -> np.ndarray:
    """(n,) float64 in [0, 1): a number for each group of copies that depends on the group's own number and the seed alone."""
    mask, value = (1 << 64) - 1, groups.astype(np.uint64)
    with np.errstate(over="ignore"):  # splitmix64
        value = value + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & mask)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((value ^ (value >> np.uint64(31))) >> np.uint64(11), np.float64) / 2**53


def count_consensus(
    neighbors: np.ndarray,
    given: np.ndarray,
    groups: np.ndarray,
    weights: np.ndarray,
    *,
    n_concepts: int,
    n_rounds: int,
    share: float,
    n_slices: int,
    seed: int,
) -> Consensus:
    """Mean frequencies over `n_rounds` draws of a `share` of the groups of copies.

    neighbors (n, m) int64, nearest first, -1 = none; given (n,) int, -1 = none; weights (n,), 0 = counts nowhere. Neighbours that are
    copies of the row or of each other are passed over. Only triples of the `n_slices` most frequent concepts are kept, which bounds
    memory by n_slices * K * K numbers. Raises ValueError for no round or slice, and for a share outside (0, 1].
    """
    if n_rounds < 1 or n_slices < 1 or not 0 < share <= 1:
        raise ValueError(f"n_rounds {n_rounds}, n_slices {n_slices}, share {share}: give 1 or more of both, and a share from above 0 to 1")
    usable = (given >= 0) & (weights > 0)
    totals = np.bincount(given[usable], weights[usable], n_concepts)
    sliced = np.sort(np.argsort(-totals, kind="stable")[:n_slices])
    place = np.full(n_concepts, -1)
    place[sliced] = np.arange(len(sliced))
    third = np.zeros((len(sliced), n_concepts, n_concepts))
    second = np.zeros((n_concepts, n_concepts))
    first = np.zeros(n_concepts)
    for number in range(n_rounds):
        rows, near, next_near = nearest_two(neighbors, groups, usable & (draws(groups, seed=seed + number) < share))
        own, one, two = given[rows], given[near], given[next_near]
        first += np.bincount(own, weights[rows], n_concepts)
        np.add.at(second, (own, one), weights[rows])
        kept = place[own] >= 0
        np.add.at(third, (place[own[kept]], one[kept], two[kept]), weights[rows[kept]])
    total = max(first.sum(), 1e-12)
    return Consensus(first / total, (second + second.T) / 2 / total, (third + third.transpose(0, 2, 1)) / 2 / total, sliced)


def nearest_two(neighbors: np.ndarray, groups: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows, nearest, next nearest), each (m,): the chosen rows that have two chosen neighbours, all three of different groups."""
    rows = np.flatnonzero(chosen)
    if not neighbors.shape[1] or not len(rows):
        return (np.zeros(0, np.int64),) * 3
    there = np.maximum(neighbors[rows], 0)
    counts = (neighbors[rows] >= 0) & chosen[there] & (groups[there] != groups[rows, None])
    everyone = np.arange(len(rows))
    near = there[everyone, counts.argmax(1)]
    counts &= groups[there] != groups[near, None]
    next_near = there[everyone, counts.argmax(1)]
    both = counts.any(1)
    return rows[both], near[both], next_near[both]


def fit_noise(consensus: Consensus, *, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(transition (K, K), prior (K,)): chance of each given concept by true concept, and of the true concepts.

    Minimises the distances between the three kinds of frequencies and those that transition and prior imply (HOC, eq. 9), by Adam on
    softmax logits from a diagonal start; of its `n_steps` the nearest counts. Long steps, such as those of a line search, leave the start's
    surroundings and end at other minima. Frequencies don't tell which true concept is which: the order is the one in which most rows are
    right. Without a triple nothing is known: the identity and the frequencies themselves. Raises ValueError for no step.
    """
    from scipy.optimize import linear_sum_assignment

    if n_steps < 1:
        raise ValueError(f"n_steps is {n_steps}: the fit of noise needs at least 1 step")
    n_concepts = len(consensus.first)
    if consensus.third.sum() <= 0 or n_concepts < 2:
        total = consensus.first.sum()
        return np.eye(n_concepts), consensus.first / total if total > 0 else np.full(n_concepts, 1 / n_concepts)
    found = _descend(np.concatenate([(5 * np.eye(n_concepts) - 1).ravel(), np.log(consensus.first + 1e-2)]), consensus, n_steps)
    transition, prior = _softmax(found[: n_concepts**2].reshape(n_concepts, n_concepts)), _softmax(found[None, n_concepts**2 :])[0]
    rows, columns = linear_sum_assignment(-transition * prior[:, None])
    order = rows[np.argsort(columns)]
    return transition[order], prior[order]


def error_chances(transition: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """(K, K) chance of the true concept (row) by given concept (column); columns sum to 1."""
    joint = transition * prior[:, None]
    return np.asarray(joint / np.maximum(joint.sum(0), 1e-12))


def _descend(start: np.ndarray, observed: Consensus, n_steps: int) -> np.ndarray:
    """The nearest of `n_steps` points of Adam (Kingma and Ba 2015): at the minimum the distances have a kink, about which steps swing."""
    flat, best, least = start, start, np.inf
    mean, square = np.zeros(start.shape), np.zeros(start.shape)
    for step in range(1, n_steps + 1):
        value, slope = _distance(flat, observed)
        if value < least:
            best, least = flat, value
        mean = MEAN_DECAY * mean + (1 - MEAN_DECAY) * slope
        square = SQUARE_DECAY * square + (1 - SQUARE_DECAY) * slope**2
        flat = flat - RATE * mean / (1 - MEAN_DECAY**step) / (np.sqrt(square / (1 - SQUARE_DECAY**step)) + 1e-8)
    return best


def _distance(flat: np.ndarray, observed: Consensus) -> tuple[float, np.ndarray]:
    k = len(observed.first)
    transition, prior = _softmax(flat[: k * k].reshape(k, k)), _softmax(flat[None, k * k :])[0]
    of_slices = transition[:, observed.sliced]
    weighted = transition * prior[:, None]
    third = np.stack([(weighted * column[:, None]).T @ transition for column in of_slices.T])
    value = 0.0
    directions = []
    for implied, seen in ((weighted.sum(0), observed.first), (weighted.T @ transition, observed.second), (third, observed.third)):
        off = implied - seen
        length = float(np.sqrt((off**2).sum() + 1e-12))
        value += length
        directions.append(off / length)
    one, two, three = directions
    along = np.einsum("sjl,aj,al->as", three, transition, transition, optimize=True)
    pairs = transition @ two
    by_prior = transition @ one + (pairs * transition).sum(1) + (along * of_slices).sum(1)
    by_transition = one[None, :] + 2 * pairs + 2 * np.einsum("sjl,as,al->aj", three, of_slices, transition, optimize=True)
    by_transition[:, observed.sliced] += along
    by_transition *= prior[:, None]
    logits = transition * (by_transition - (transition * by_transition).sum(1, keepdims=True))
    return value, np.concatenate([logits.ravel(), prior * (by_prior - prior @ by_prior)])


def _softmax(logits: np.ndarray) -> np.ndarray:
    chance = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(chance / chance.sum(1, keepdims=True))
