"""Compare vectors: cosine similarities that depend on nothing but the vectors, out of float16 embeddings.

A product of two float16 numbers is a multiple of 2**-48, so a float64 sum of them is exact for unit vectors, whatever the order of
summation: the best of some candidates depend neither on threads nor on the size of a tile, and copies of one vector tie exactly.
"""

import mmap

import numpy as np

QUERIES = 8192  # rows of a tile; bounds memory, changes no result
RESCORED_BYTES = 1 << 26
FLOAT16_BITS = np.uint32(0x8FFFE000).astype(np.int32)  # sign, and five of the exponent's bits with ten of the mantissa's
FLOAT16_SCALE = np.float32(2.0**112)  # exponents count from -15 in float16, from -127 in float32


def shape_of(vectors: np.ndarray) -> tuple[int, int]:
    """(n, d). Raises ValueError unless `vectors` are (n, d) float16 or float32."""
    if vectors.ndim != 2 or vectors.dtype not in (np.float16, np.float32):
        raise ValueError(f"vectors must be (n, d) float16 or float32, not {vectors.shape} {vectors.dtype}")
    return vectors.shape


def unit(block: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
    """Rows (m, d) of length 1, float32, of float16 rows or of others rounded to it; a row of zeros stays. `out` is where they go."""
    rows = np.asarray(block)
    rows = widened(rows if rows.dtype == np.float16 else rows.astype(np.float16), out=out)
    rows /= np.maximum(np.sqrt(np.einsum("ij,ij->i", rows, rows)), np.float32(1e-12))[:, None]
    return rows


def widened(halves: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
    """Finite float16 numbers as float32, of the same values.

    The bits move to where float32 has them, and a product makes up for the exponents' other origin: numpy's own conversion goes number by
    number and takes four times as long, as much of a search as its matrix products.
    """
    wide = np.empty(halves.shape, np.float32) if out is None else out
    bits = wide.view(np.int32)
    np.copyto(bits, halves.view(np.int16))
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, FLOAT16_BITS, out=bits)
    np.multiply(wide, FLOAT16_SCALE, out=wide)
    return wide


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Length (n,) float64 of every row, at least 1e-12."""
    found = np.zeros(len(vectors))
    for start in range(0, len(vectors), QUERIES):
        block = np.asarray(vectors[start : start + QUERIES]).astype(np.float16).astype(np.float64)
        found[start : start + QUERIES] = np.sqrt((block * block).sum(axis=1))
    return np.maximum(found, 1e-12)


def pair_similarities(vectors: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Cosine similarity (m,) float32 of the rows in each of `pairs` (m, 2)."""
    similarities = np.zeros(len(pairs), np.float32)
    for start in range(0, len(pairs), QUERIES):
        left, right = (np.asarray(vectors[pairs[start : start + QUERIES, side]]).astype(np.float64) for side in (0, 1))
        norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        similarities[start : start + QUERIES] = np.clip((left * right).sum(axis=1) / np.maximum(norms, 1e-12), -1.0, 1.0)
    return similarities


def rescored(vectors: np.ndarray, norms: np.ndarray, rows: np.ndarray, candidates: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` best candidates (m, c) of each of `rows` (m,) by exact cosine, itself excluded; -inf where there are fewer.

    Negative candidates are none; `norms` are the `lengths` of all vectors.
    """
    scores = np.empty(candidates.shape)
    step = max(1, RESCORED_BYTES // (8 * max(1, candidates.shape[1]) * vectors.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        query = np.asarray(vectors[rows[part]]).astype(np.float16).astype(np.float64)
        others = np.asarray(vectors[candidates[part]]).astype(np.float16).astype(np.float64)
        scores[part] = np.matmul(others, query[:, :, None])[:, :, 0] / (norms[rows[part], None] * norms[candidates[part]])
    scores = np.where((candidates < 0) | (candidates == rows[:, None]), -np.inf, np.clip(scores, -1.0, 1.0))
    return best_first(candidates, scores, k)


def best_first(positions: np.ndarray, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` best of each row, the highest score first, ties by position."""
    order = np.lexsort((positions, -scores), axis=1)[:, :k]
    return np.take_along_axis(positions, order, axis=1), np.take_along_axis(scores, order, axis=1)


def release(array: np.ndarray) -> None:
    """Let go of the pages of a mapped file that were read or written, so that resident memory stays small; the file keeps them."""
    mapping = getattr(array, "_mmap", None)
    if mapping is not None:
        mapping.madvise(mmap.MADV_DONTNEED)
