"""Filter pairs as others do: DataComp's baselines (Gadre et al. 2023), one (n,) bool of who stays out of captions, sizes and embeddings.

What they are here for is comparison. Languages are not told apart: that would take a model of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

WORD = re.compile(r"\w+")
BLOCK = 8192  # rows at a time; bounds memory
ROUNDS = 20  # of k-means; assignments hardly move after ten


def basic(
    texts: Sequence[str],
    widths: np.ndarray,
    heights: np.ndarray,
    *,
    min_words: int,
    min_characters: int,
    min_side: int,
    max_aspect_ratio: float,
) -> np.ndarray:
    """Captions of some length on pictures of some size; widths, heights (n,) in pixels, as downloaded."""
    short, long = np.minimum(widths, heights), np.maximum(widths, heights)
    large = (short >= min_side) & (long <= max_aspect_ratio * short)
    return np.asarray(captioned(texts, min_words=min_words, min_characters=min_characters) & large)


def captioned(texts: Sequence[str], *, min_words: int, min_characters: int) -> np.ndarray:
    """Captions of at least so many words and characters."""
    return np.array([len(WORD.findall(text)) >= min_words and len(text.strip()) >= min_characters for text in texts], bool)


def text_based(texts: Sequence[str], words: Sequence[str]) -> np.ndarray:
    """Captions in which one of the words (or phrases) stands whole, in upper or lower case."""
    if not words:
        return np.zeros(len(texts), bool)
    longest_first = sorted({word.lower() for word in words}, key=lambda word: (-len(word), word))
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)")
    return np.array([pattern.search(text.lower()) is not None for text in texts], bool)


def clip_score(similarities: np.ndarray, *, share: float) -> np.ndarray:
    """The share of all rows with the largest cosine of image and text; similarities (n,), nan without a text; ties at the limit stay."""
    known = np.sort(similarities[~np.isnan(similarities)])[::-1]
    n = min(round(share * len(similarities)), len(known))
    if not n:
        return np.zeros(len(similarities), bool)
    stays: np.ndarray = np.nan_to_num(similarities, nan=-np.inf) >= known[n - 1]
    return stays


def image_based(embeddings: np.ndarray, references: np.ndarray, *, n_clusters: int, seed: int) -> np.ndarray:
    """Rows in those clusters of all images that are nearest to at least one reference.

    embeddings (n, d), references (m, d) float32, L2-normalised. Without references nobody stays.
    """
    if not len(embeddings) or not len(references):
        return np.zeros(len(embeddings), bool)
    centroids = spherical_clusters(embeddings, n_clusters=n_clusters, seed=seed)
    wanted = np.unique(_nearest(references, centroids))
    return np.isin(_nearest(embeddings, centroids), wanted)


def spherical_clusters(vectors: np.ndarray, *, n_clusters: int, seed: int) -> np.ndarray:
    """(k, d) float32 centroids of unit length by spherical k-means from k rows drawn by the seed; a cluster that empties stays put."""
    n_clusters = min(n_clusters, len(vectors))
    drawn = np.sort(np.random.default_rng(seed).choice(len(vectors), n_clusters, replace=False))
    centroids = vectors[drawn].astype(np.float32)
    for _ in range(ROUNDS):
        nearest = _nearest(vectors, centroids)
        sums = np.zeros(centroids.shape, np.float64)
        np.add.at(sums, nearest, vectors)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centroids = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centroids).astype(np.float32)
    return centroids


def _nearest(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    starts = range(0, len(vectors), BLOCK)
    return np.concatenate([(vectors[start : start + BLOCK].astype(np.float32) @ centroids.T).argmax(1) for start in starts])
