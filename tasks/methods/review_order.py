"""Draw what to review: rows whose verdicts are worth most, drawn so that no few of them decide, for some verdicts may be wrong."""

from __future__ import annotations

import numpy as np


def prefix_length(gains: np.ndarray, *, wrong: int) -> int:
    """k*, the number of the largest gains that are worth a draw when the `wrong` worst chosen of them count for nothing.

    `gains` (n,) descending and positive. Robust active distillation (Baykal et al. 2023): over chances q, the least that the sum of
    q * gain can come to without any `wrong` of the rows is largest where q * gain is the same on a prefix, of the k > wrong that
    maximises (k - wrong) / sum of 1 / gain. The shortest of equally good ones. Raises ValueError unless 0 <= wrong < n.
    """
    if not 0 <= wrong < len(gains):
        raise ValueError(f"{wrong} wrong verdicts of {len(gains)} leave nothing that is sure: there must be fewer, and 0 or more")
    value = (np.arange(1, len(gains) + 1) - wrong) / np.cumsum(1 / gains)
    return int(np.argmax(value)) + 1


def draw_chances(gains: np.ndarray, *, wrong: int) -> np.ndarray:
    """(n,) float64 that sum to 1: proportional to 1 / gain on the k* largest `gains` (n,), in any order, and 0 beyond."""
    order = np.argsort(-gains, kind="stable")
    first = order[: prefix_length(gains[order], wrong=wrong)]
    chances = np.zeros(len(gains))
    chances[first] = 1 / gains[first]
    chances /= chances.sum()
    return chances


def review_order(gains: np.ndarray, draws: np.ndarray, *, budget: int, wrong: int) -> np.ndarray:
    """The rows to review, (min(budget, n),) int64, in the order in which they are drawn by `draw_chances`, none twice.

    `gains` (n,) positive; `draws` (n,) in [0, 1), one of each row's own, decide (Efraimidis and Spirakis 2006). Where fewer rows have a
    chance than the budget asks for, the next gains follow, the largest first, so that without a wrong verdict the order is that of the
    gains; with as many wrong verdicts as rows, all rows have a chance. Raises ValueError for gains that aren't positive and finite, and
    for a budget below 1 or `wrong` below 0.
    """
    if not ((gains > 0) & np.isfinite(gains)).all():
        raise ValueError("gains must be positive and finite: leave out rows whose verdict is worth nothing")
    if budget < 1 or wrong < 0:
        raise ValueError(f"a budget of {budget} verdicts, {wrong} of them wrong, can't be: ask for 1 or more, and 0 or more wrong ones")
    exact = gains.astype(np.float64)
    ranked = np.lexsort((draws, -exact))
    chances = draw_chances(exact[ranked], wrong=wrong) if wrong < len(exact) else 1 / exact[ranked]
    n_first = np.count_nonzero(chances)
    waits = -np.log1p(-draws[ranked[:n_first]]) / chances[:n_first]  # the earliest are a draw without replacement
    return np.concatenate([ranked[np.argsort(waits, kind="stable")], ranked[n_first:]])[:budget]
