"""Find label errors among many concepts: confident learning in two passes over each row's most probable concepts.

Thresholds, guesses and joint are those of Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", 2021
(eq. 1 and 2); that a few listed probabilities do for them is not from there.

Equal to the dense form as long as the given concept and all that pass their thresholds are listed. A given concept that isn't listed has an
even share of what the list leaves over, at most the least listed probability. Memory: one byte, one number and one guess per row, and the
joint's cells that occur.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from tasks.methods.confident_learning import TOLERANCE, UNREACHABLE

Chunk = tuple[np.ndarray, np.ndarray, np.ndarray]


class SparseIssues(NamedTuple):
    """is_issue (n,) bool; own (n,) float32 probability of the given concept; guesses (n,) int32, -1 = none; limits (K,) thresholds;
    pairs (c, 2) int64 of given concept and guess with counts (c,) int64: the confident joint before calibration."""

    is_issue: np.ndarray
    own: np.ndarray
    guesses: np.ndarray
    limits: np.ndarray
    pairs: np.ndarray
    counts: np.ndarray


def chunks(concepts: np.ndarray, probs: np.ndarray, given: np.ndarray, *, rows: int) -> Iterator[Chunk]:
    """`rows` at a time of arrays that may be memory maps: concepts (n, k) int, probs (n, k), given (n,) int."""
    for start in range(0, len(given), rows):
        part = slice(start, start + rows)
        yield np.asarray(concepts[part]), np.asarray(probs[part]), np.asarray(given[part])


def top_concepts(pred_probs: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(concepts (n, k) int32, probabilities (n, k) float32) of each row's k most probable concepts, in falling order.

    Raises ValueError for a k below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}: list at least 1 concept of each row")
    k = min(k, pred_probs.shape[1])
    found = np.argpartition(-pred_probs, k - 1, axis=1)[:, :k]
    order = np.take_along_axis(found, np.lexsort((found, -np.take_along_axis(pred_probs, found, 1))), 1)
    return order.astype(np.int32), np.take_along_axis(pred_probs, order, 1).astype(np.float32)


def sparse_issues(first: Iterable[Chunk], second: Iterable[Chunk], *, n_concepts: int) -> SparseIssues:
    """The filter "confident learning" on listed probabilities; both passes give the same chunks of (concepts (m, k), probs (m, k) in
    falling order, given (m,), -1 = none given).

    Raises ValueError for concepts outside the `n_concepts`, and for passes of different lengths.
    """
    sizes, sums = np.zeros(n_concepts, np.int64), np.zeros(n_concepts)
    owns = []
    for concepts, probs, given in first:
        _check(concepts, given, n_concepts)
        own = _own(concepts, probs, given, n_concepts)
        known = given >= 0
        sizes += np.bincount(given[known], minlength=n_concepts)
        sums += np.bincount(given[known], own[known], n_concepts)
        owns.append(own)
    own = np.concatenate(owns) if owns else np.zeros(0, np.float32)
    limits = np.where(sizes > 0, np.maximum(sums / np.maximum(sizes, 1), 2 * TOLERANCE), UNREACHABLE)
    flags, guesses, keys, start = [], [], np.zeros(0, np.int64), 0
    counts = np.zeros(0, np.int64)
    low = (limits - TOLERANCE).astype(np.float32)
    for concepts, probs, given in second:
        passing = probs >= low[concepts]
        n_passing = passing.sum(1)
        best = np.where(n_passing > 1, concepts[:, 0], concepts[np.arange(len(concepts)), passing.argmax(1)])
        guess = np.where(n_passing > 0, best, -1).astype(np.int32)
        mine = own[start : start + len(given)]
        start += len(given)
        if start > len(own):
            break
        contradicted = (concepts[:, 0] != given) & (probs[:, 0] > mine + np.float32(TOLERANCE))
        flags.append((given >= 0) & (guess >= 0) & (guess != given) & contradicted)
        counted = (given >= 0) & (guess >= 0)
        fresh, times = np.unique(given[counted].astype(np.int64) * n_concepts + guess[counted], return_counts=True)
        keys, place = np.unique(np.concatenate([keys, fresh]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts, times]), len(keys)).astype(np.int64)
        guesses.append(guess)
    if start != len(own):
        raise ValueError(f"the first pass gave {len(own)} rows, the second {start} or more: both must give the same chunks")
    joined = np.concatenate(flags) if flags else np.zeros(0, bool)
    all_guesses = np.concatenate(guesses) if guesses else np.zeros(0, np.int32)
    return SparseIssues(joined, own, all_guesses, limits, np.stack([keys // n_concepts, keys % n_concepts], axis=1), counts)


def _check(concepts: np.ndarray, given: np.ndarray, n_concepts: int) -> None:
    for name, values, least in (("listed", concepts, 0), ("given", given, -1)):
        outside = values[(values < least) | (values >= n_concepts)]
        if outside.size:
            raise ValueError(f"{name} concept {outside.flat[0]} of {n_concepts}: number them from 0; only a given one may be -1, for none")


def _own(concepts: np.ndarray, probs: np.ndarray, given: np.ndarray, n_concepts: int) -> np.ndarray:
    listed = concepts == given[:, None]
    rest = np.maximum(1 - probs.sum(1), 0.0) / max(n_concepts - concepts.shape[1], 1)
    return np.asarray(np.where(listed.any(1), (probs * listed).sum(1), np.minimum(rest, probs[:, -1])), np.float32)
