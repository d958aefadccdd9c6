"""Compare pictures: pairs of near-equal perceptual hashes, and how alike two pictures are pixel by pixel.

Hashes only propose: on small or smooth pictures, different photographs come as near as copies. Thumbnails confirm.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise
from math import comb

import numpy as np
from PIL import Image

SIDE = 32  # of a thumbnail; also what pHash shrinks a picture to
BITS = 64
EXPANDED = 1 << 22  # candidate pairs held at once; bounds memory, changes no result
COMPARED = 2048
HASHED = 8  # lowest frequencies each way
COSINES = 2 * np.cos(np.pi / SIDE * np.outer(np.arange(HASHED), np.arange(SIDE) + 0.5))  # discrete cosine transform, type 2
MIRRORED = np.where(np.arange(HASHED) % 2, -1.0, 1.0)


def thumbnail(rgb: Image.Image) -> bytes:
    """The 32 x 32 grey picture that pHash is made of: 1,024 bytes, row by row."""
    return rgb.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0).tobytes()


def hashes_of_thumbnail(pixels: bytes) -> tuple[int, int]:
    """64-bit pHash of an image's thumbnail and of its mirror image (most significant bit first; Zauner 2010).

    The 8 x 8 lowest frequencies of the thumbnail's cosine transform, each a bit: above their median. What a mirror does to a picture
    it does to the transform: odd horizontal frequencies change their sign.
    """
    grey = np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE).astype(np.float64)
    lowest = (COSINES @ grey @ COSINES.T).round(6)  # an even picture has no frequencies, whatever the order of sums
    return _bits(lowest), _bits(lowest * MIRRORED)


def _bits(lowest: np.ndarray) -> int:
    ordered = np.sort(lowest, axis=None)
    median = (ordered[BITS // 2 - 1] + ordered[BITS // 2]) / 2
    return int.from_bytes(np.packbits(lowest > median).tobytes(), "big")


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
    for rows, others, _ in _near(left.values, right.values, radius, other is None):
        found.append(_members(left, right, rows, others, max_per_hash))
    pairs = np.concatenate(found) if found else np.zeros((0, 2), np.int64)
    if other is None:
        pairs.sort(axis=1)
    pairs = _unique_pairs(pairs)
    second = hashes if other is None else other
    distances = np.bitwise_count(_uint64(hashes)[pairs[:, 0]] ^ _uint64(second)[pairs[:, 1]]).astype(np.int64)
    return pairs, distances


def copy_similarity(first: np.ndarray, second: np.ndarray, *, max_zoom: float) -> np.ndarray:
    """How alike pictures (m, s, s) uint8 and (m, s, s) uint8 are, (m,) float32 in [0, 1]; 1 for equal pictures.

    Zero-mean normalised cross-correlation, negative values as 0: brightness and contrast don't count. The best value is taken over
    zooms of either picture about its centre that leave out up to `max_zoom` of it, so that trimmed and bordered copies count too.
    A picture without any contrast resembles only an equal one.
    """
    if not 0 <= max_zoom < 1:
        raise ValueError(f"max_zoom {max_zoom} must be in [0, 1)")
    similarities = np.zeros(len(first), np.float32)
    every = zooms(first.shape[-1], max_zoom)
    for start in range(0, len(first), COMPARED):
        left, right = first[start : start + COMPARED].astype(np.float32), second[start : start + COMPARED].astype(np.float32)
        plain_left, plain_right = standardized(left), standardized(right)
        best = (plain_left * plain_right).sum(axis=1)
        for zoom in every:
            np.maximum(best, (standardized(zoom @ left @ zoom.T) * plain_right).sum(axis=1), out=best)
            np.maximum(best, (standardized(zoom @ right @ zoom.T) * plain_left).sum(axis=1), out=best)
        best[(left == right).all(axis=(1, 2))] = 1.0
        similarities[start : start + COMPARED] = np.clip(best, 0.0, 1.0)
    return similarities


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


def _members(left: _Distinct, right: _Distinct, rows: np.ndarray, others: np.ndarray, most: int) -> np.ndarray:
    """Row pairs of value pairs: the first `most` rows of either side."""
    a, b = np.minimum(left.counts[rows], most), np.minimum(right.counts[others], most)
    first, second = _products(left.starts[rows], a, right.starts[others], b)
    return np.stack([left.rows[first], right.rows[second]], axis=1)


def _products(starts_a: np.ndarray, a: np.ndarray, starts_b: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of all combinations of each run of `a` with its run of `b`."""
    sizes = a * b
    run = np.repeat(np.arange(len(sizes)), sizes)
    inside = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return starts_a[run] + inside // b[run], starts_b[run] + inside % b[run]


def _near(left: np.ndarray, right: np.ndarray, radius: int, same: bool) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Positions in two columns of distinct values, and distances, of all pairs in the radius; some come more than once."""
    if not len(left) or not len(right):
        return
    for shift, width, most in _bands(len(right), radius):
        mask = np.uint64((1 << width) - 1)
        keys_a, keys_b = (left >> np.uint64(shift)) & mask, (right >> np.uint64(shift)) & mask
        order_a, order_b = np.argsort(keys_a, kind="stable"), np.argsort(keys_b, kind="stable")
        bins_a, starts_a, counts_a = np.unique(keys_a[order_a], return_index=True, return_counts=True)
        bins_b, starts_b, counts_b = np.unique(keys_b[order_b], return_index=True, return_counts=True)
        for flips in _flips(width, most):
            wanted = bins_a ^ np.uint64(flips)
            place = np.minimum(np.searchsorted(bins_b, wanted), len(bins_b) - 1)
            hit = (bins_b[place] == wanted) & (~np.bool_(same) | (bins_a <= wanted))
            for part in _parts(counts_a[hit] * counts_b[place[hit]]):
                a, b = np.flatnonzero(hit)[part], place[hit][part]
                first, second = _products(starts_a[a], counts_a[a], starts_b[b], counts_b[b])
                rows, others = order_a[first], order_b[second]
                distances = np.bitwise_count(left[rows] ^ right[others])
                keep = (distances <= radius) & ((rows != others) | ~np.bool_(same))
                yield rows[keep], others[keep], distances[keep]


def _bands(n: int, radius: int) -> list[tuple[int, int, int]]:
    """(shift, width, most differing bits) of the bands that cost least for `n` hashes: look-ups plus expected candidates."""

    def layout(m: int) -> list[tuple[int, int, int]]:
        edges = [BITS * band // m for band in range(m + 1)]
        # If the first `extra` bands differed in more than `share` bits and the rest in `share` or more, it would be over the radius.
        share, extra = radius // m, radius % m + 1
        return [(edges[band], edges[band + 1] - edges[band], share if band < extra else share - 1) for band in range(m)]

    def cost(m: int) -> float:
        lookups = [(sum(comb(width, k) for k in range(most + 1)), width) for _, width, most in layout(m) if most >= 0]
        return sum(probes * (1.0 + n / 2.0**width) for probes, width in lookups)

    return [band for band in layout(min(range(1, radius + 2), key=cost)) if band[2] >= 0]


def _flips(width: int, most: int) -> Iterator[int]:
    for count in range(most + 1):
        for bits in combinations(range(width), count):
            yield sum(1 << bit for bit in bits)


def _parts(sizes: np.ndarray) -> Iterator[slice]:
    """Runs of neighbours whose sizes sum up to about EXPANDED."""
    if len(sizes):
        ends = np.flatnonzero(np.diff(np.cumsum(sizes) // EXPANDED)) + 1
        edges = [0, *ends.tolist(), len(sizes)]
        yield from (slice(start, stop) for start, stop in pairwise(edges))


def _unique_pairs(pairs: np.ndarray) -> np.ndarray:
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    pairs = pairs[order]
    return pairs[np.r_[True, (pairs[1:] != pairs[:-1]).any(axis=1)]] if len(pairs) else pairs


def _uint64(hashes: np.ndarray) -> np.ndarray:
    if hashes.ndim != 1 or hashes.dtype != np.uint64:
        raise ValueError(f"hashes must be (n,) uint64, not {hashes.shape} {hashes.dtype}")
    return hashes


def standardized(pictures: np.ndarray) -> np.ndarray:
    """Pictures (m, s, s) as rows (m, s * s) of mean 0 and length 1, so that products are correlations; zeros without contrast."""
    flat = pictures.reshape(len(pictures), pictures.shape[1] * pictures.shape[2])
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    enough = length > 1e-3 * flat.shape[1]
    scaled: np.ndarray = flat * np.where(enough, 1 / np.where(enough, length, 1), 0).astype(np.float32)
    return scaled


def zooms(side: int, max_zoom: float) -> list[np.ndarray]:
    """Matrices (side, side) that magnify one axis about its centre, by steps of a quarter of a pixel at the edge, bilinear."""
    matrices = []
    centres = (np.arange(side) + 0.5) / side * 2 - 1
    for step in range(1, int(2 * max_zoom * side + 1e-9) + 1):
        places = np.clip((centres * (1 - step / (2 * side)) + 1) / 2 * side - 0.5, 0, side - 1)
        lower = np.minimum(places.astype(np.int64), side - 2)
        share = (places - lower).astype(np.float32)
        matrix = np.zeros((side, side), np.float32)
        matrix[np.arange(side), lower] = 1 - share
        matrix[np.arange(side), lower + 1] += share
        matrices.append(matrix)
    return matrices
