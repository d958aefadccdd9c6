"""Audit: how pure the kept set is, with an interval, out of a stratified sample that people judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

LEAST_CHANCE = (
    0.1  # a stratum that the machine calls certain is sampled as if a tenth of it might be wrong: that is what is to be found out
)
LEAST_ROWS = 5  # of a stratum, if it has so many: fewer tell nothing of it


@dataclass(frozen=True)
class Purity:
    """The measured purity, its interval, and how many verdicts it rests on; all shares in [0, 1]."""

    purity: float
    low: float
    high: float
    n: int


def allocated(sizes: Sequence[int], confidences: Sequence[float], n: int) -> list[int]:
    """How many of `n` rows to draw from each stratum: by its size times the deviation that its mean confidence lets expect (Neyman 1934).

    LEAST_ROWS of each come first; never more than it has. Raises ValueError for n below 1.
    """
    if n < 1:
        raise ValueError(f"{n} rows are no sample: draw at least 1")
    size = np.array(sizes, np.int64)
    chance = np.clip(np.array(confidences, np.float64), LEAST_CHANCE, 1 - LEAST_CHANCE)
    counts = np.minimum(size, LEAST_ROWS)
    share = size * np.sqrt(chance * (1 - chance))
    while (left := n - int(counts.sum())) > 0 and (counts < size).any():
        open_share = np.where(counts < size, share, 0.0)
        more = np.minimum(np.floor(left * open_share / open_share.sum()).astype(np.int64), size - counts)
        if not more.any():
            more[int(np.argmax(open_share))] = 1
        counts += more
    return [int(count) for count in counts]


def measured(sizes: Sequence[int], judged: Sequence[int], right: Sequence[int], *, level: float) -> Purity:
    """Purity of the whole out of each stratum's rows `sizes`, verdicts `judged` and right ones among them.

    The estimate weights strata by size. Its interval is Wilson's (1927) at the number of verdicts of a simple sample that would have the
    same variance; for that variance each stratum's share is drawn by one right and one wrong verdict towards a half, so that strata
    without an error count as uncertain too. `level` in (0, 1). Raises ValueError for a stratum with rows and no verdict,
    for more right ones than verdicts or more verdicts than rows, and for another level.
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} is the interval's chance to hold the truth: give a number between 0 and 1")
    for number, (rows, seen, good) in enumerate(zip(sizes, judged, right, strict=True)):
        if not 0 <= good <= seen <= rows:
            raise ValueError(f"stratum {number} has {good} right of {seen} verdicts on {rows} rows: count no row twice")
    size, n, hits = (np.array(values, np.float64) for values in (sizes, judged, right))
    used = size > 0
    size, n, hits = size[used], n[used], hits[used]
    if not len(size) or (n <= 0).any():
        raise ValueError(f"{int((n <= 0).sum())} of {len(size)} strata have no verdict: judge at least one row of each")
    weight = size / size.sum()
    purity = float((weight * hits / n).sum())
    drawn = (hits + 1) / (n + 2)
    variance = float((weight**2 * drawn * (1 - drawn) / n * (1 - n / size)).sum())
    if variance <= 0:  # every row was judged
        return Purity(purity, purity, purity, int(n.sum()))
    middle = float((weight * drawn).sum())
    effective = middle * (1 - middle) / variance
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (purity + z**2 / (2 * effective)) / (1 + z**2 / effective)
    reach = z / (1 + z**2 / effective) * np.sqrt(purity * (1 - purity) / effective + z**2 / (4 * effective**2))
    return Purity(purity, max(float(centre - reach), 0.0), min(float(centre + reach), 1.0), int(n.sum()))


def statement(found: Purity, promised: float) -> str:
    """Whether the promised purity lies within the interval, in words."""
    if promised > found.high:
        return "the promise is too high: the kept set is less pure than it says"
    if promised < found.low:
        return "the promise is too low: the kept set is purer than it says"
    return "the promise lies within the interval"
