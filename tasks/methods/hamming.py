"""Join hashes: pairs of rows whose 64-bit hashes differ in few bits, out of one or two columns."""

from collections.abc import Iterator
from itertools import combinations
from math import comb

import numpy as np

BITS = 64
BLOCK = 1 << 16  # comparisons held at once: what the processor's cache holds; changes no result
BIN_COST = 10_000  # what looking up a bin's neighbours costs, in comparisons; changes no result

Band = tuple[int, int, int]  # shift, width, most differing bits


def hamming_pairs(hashes: np.ndarray, other: np.ndarray | None = None, *, radius: int, max_per_hash: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (m, 2) int64 and Hamming distances (m,) int64 of hashes (n,) uint64 that differ in at most `radius` bits, sorted.

    Without `other`: pairs i < j of `hashes`; with it: rows of `hashes` against rows of `other`. Rows that share one hash are taken
    `max_per_hash` at a time: within the hash each row is paired with that many rows before it, across hashes the first ones stand for
    all. So a hash that ten thousand blank or much copied pictures share costs ten thousand times a few, and still holds together.

    Multi-index hashing (Norouzi, Punjani and Fleet 2012): of m bands that cover the 64 bits, one differs in at most radius // m bits.
    """
    if not 0 <= radius <= BITS // 2:
        raise ValueError(f"radius {radius} is not in 0..{BITS // 2}: that is no near copy of a 64-bit hash")
    if max_per_hash < 1:
        raise ValueError(f"max_per_hash {max_per_hash} must be at least 1")
    left = _Distinct(hashes)
    right = left if other is None else _Distinct(other)
    found = [left.within(max_per_hash)] if other is None else []
    for band in _bands(len(left.values), len(right.values), radius) if len(left.values) and len(right.values) else []:
        found.append(_members(left, right, _near(left.values, right.values, band, radius, other is None), max_per_hash))
    pairs = np.concatenate(found) if found else np.zeros((0, 2), np.int64)
    if other is None:
        pairs.sort(axis=1)
    pairs = _unique_pairs(pairs)
    second = hashes if other is None else other
    distances = np.bitwise_count(_uint64(hashes)[pairs[:, 0]] ^ _uint64(second)[pairs[:, 1]]).astype(np.int64)
    return pairs, distances


class _Distinct:
    """The distinct values of a hash column, and the rows of each, ascending."""

    def __init__(self, hashes: np.ndarray) -> None:
        hashes = _uint64(hashes)
        self.values, inverse, self.counts = np.unique(hashes, return_inverse=True, return_counts=True)
        self.rows = np.argsort(inverse, kind="stable").astype(np.int64)
        self.starts = np.cumsum(self.counts) - self.counts

    def within(self, window: int) -> np.ndarray:
        """Pairs of rows that share a hash, each row with up to `window` rows before it."""
        place = np.arange(len(self.rows)) - np.repeat(self.starts, self.counts)
        pairs = [np.stack([self.rows[np.flatnonzero(place >= back) - back], self.rows[place >= back]], axis=1)
                 for back in range(1, min(window, int(self.counts.max(initial=1)) - 1) + 1)]  # fmt: skip
        return np.concatenate(pairs) if pairs else np.zeros((0, 2), np.int64)


def _members(left: _Distinct, right: _Distinct, values: np.ndarray, most: int) -> np.ndarray:
    """Row pairs of value pairs (m, 2): the first `most` rows of either side."""
    starts_a, starts_b = left.starts[values[:, 0]], right.starts[values[:, 1]]
    a, b = np.minimum(left.counts[values[:, 0]], most), np.minimum(right.counts[values[:, 1]], most)
    run, inside = np.repeat(np.arange(len(a)), a * b), _counters(a * b)
    return np.stack([left.rows[starts_a[run] + inside // b[run]], right.rows[starts_b[run] + inside % b[run]]], axis=1)


def _near(left: np.ndarray, right: np.ndarray, band: Band, radius: int, same: bool) -> np.ndarray:
    """Positions (m, 2) in two columns of distinct values that are in the radius, and in one band differ in no more bits than it allows.

    Rows are sorted by the band's bits into bins. Each bin is compared as a whole with the rows of all bins near it: one block of
    comparisons instead of a list of candidates, which is what takes the time once bins hold a dozen rows.
    """
    shift, width, most = band
    order_a, starts_a = _bins(left, shift, width)
    order_b, starts_b = (order_a, starts_a) if same else _bins(right, shift, width)
    sorted_a, sorted_b, flips = left[order_a], right[order_b], _flips(width, most)
    parts = [np.zeros((0, 2), np.int64)]
    for bin_ in np.flatnonzero(np.diff(starts_a)).tolist():
        bins = flips ^ bin_
        if same:  # the other half is found from the other side
            bins = bins[bins >= bin_]
        sizes = starts_b[bins + 1] - starts_b[bins]
        others = np.repeat(starts_b[bins], sizes) + _counters(sizes)
        values = sorted_b[others]
        for rows, columns in _within(sorted_a[starts_a[bin_] : starts_a[bin_ + 1]], values, radius):
            parts.append(np.stack([order_a[starts_a[bin_] + rows], order_b[others[columns]]], axis=1))
    pairs = np.concatenate(parts)
    return pairs[pairs[:, 0] != pairs[:, 1]] if same else pairs


def _bins(values: np.ndarray, shift: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The order (n,) of the values by a band's bits, and where in it each of the 2^width bins starts, with an end."""
    keys = ((values >> np.uint64(shift)) & np.uint64((1 << width) - 1)).astype(np.int64)
    starts = np.zeros((1 << width) + 1, np.int64)
    np.cumsum(np.bincount(keys, minlength=1 << width), out=starts[1:])
    return np.argsort(keys, kind="stable"), starts


def _within(left: np.ndarray, right: np.ndarray, radius: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions in two columns of all pairs in the radius, block after block."""
    if not len(right):
        return
    height = max(1, BLOCK // len(right))
    for start in range(0, len(left), height):
        near = np.flatnonzero(np.bitwise_count(left[start : start + height, None] ^ right) <= radius)
        if len(near):
            rows, columns = np.divmod(near, len(right))
            yield start + rows, columns


def _bands(n_left: int, n_right: int, radius: int) -> list[Band]:
    """The bands that cost least for so many hashes: bins to look up, plus expected comparisons. One without bits compares all."""

    def layout(m: int) -> list[Band]:
        edges = [-(-BITS * band // m) for band in range(m + 1)]  # wider ones first: they may differ in more bits
        # If the first `extra` bands differed in more than `share` bits and the rest in `share` or more, it would be over the radius.
        share, extra = radius // m, radius % m + 1
        bands = [(edges[band], edges[band + 1] - edges[band], share if band < extra else share - 1) for band in range(m)]
        return [band for band in bands if band[2] >= 0]

    def cost(bands: list[Band]) -> float:
        probes = [(sum(comb(width, k) for k in range(most + 1)), 1 << width) for _, width, most in bands]
        return float(sum(BIN_COST * min(bins, n_left) + n_left * near * (1 + n_right / bins) for near, bins in probes))

    # Bands of more than 24 bits would have tables of their own size.
    layouts = [[(0, 0, 0)], *(found for found in map(layout, range(1, radius + 2)) if max(width for _, width, _ in found) <= 24)]
    return min(layouts, key=cost)


def _flips(width: int, most: int) -> np.ndarray:
    """All numbers of up to `most` of `width` bits."""
    found = [sum(1 << bit for bit in bits) for count in range(most + 1) for bits in combinations(range(width), count)]
    return np.array(found, np.int64)


def _counters(sizes: np.ndarray) -> np.ndarray:
    """0, 1, ... size - 1 for each of the sizes, one after the other."""
    counters: np.ndarray = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return counters


def _unique_pairs(pairs: np.ndarray) -> np.ndarray:
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    pairs = pairs[order]
    return pairs[np.r_[True, (pairs[1:] != pairs[:-1]).any(axis=1)]] if len(pairs) else pairs


def _uint64(hashes: np.ndarray) -> np.ndarray:
    if hashes.ndim != 1 or hashes.dtype != np.uint64:
        raise ValueError(f"hashes must be (n,) uint64, not {hashes.shape} {hashes.dtype}")
    return hashes
