"""Filter pairs as others do: DataComp's baselines (Gadre et al. 2023), one (n,) bool of who stays out of captions, sizes and embeddings.

What they are here for is comparison. Captions, sizes and the share by CLIP score are judged as DataComp's own code does, with two
exceptions: no language is asked for, since no detector of languages is installed, where DataComp wants English; and text_based and
image_based look for what the caller names, where DataComp looks for the synsets of ImageNet-21k and the pictures of ImageNet-1k.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

TOKEN = re.compile(r"\n|[^ \t\n\r\v\f\0]+")  # fastText's: what white space of ASCII parts, and each end of a line
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
    """Captions of so many characters and words between white space, on pictures of some size; widths, heights (n,): pixels downloaded."""
    short, long = np.minimum(widths, heights), np.maximum(widths, heights)
    large = (short >= min_side) & (long <= max_aspect_ratio * short)
    spoken = [len(text.split()) >= min_words and len(text) >= min_characters for text in texts]
    return np.asarray(np.array(spoken, bool) & large)


def captioned(texts: Sequence[str], *, min_words: int, min_characters: int) -> np.ndarray:
    """Captions of at least so many of fastText's tokens, and characters: what DataComp asks of texts before it filters by image."""
    return np.array([len(TOKEN.findall(text)) >= min_words and len(text) >= min_characters for text in texts], bool)


def text_based(texts: Sequence[str], words: Sequence[str]) -> np.ndarray:
    """Captions in which one of the words (or phrases) stands whole, in upper or lower case."""
    if not words:
        return np.zeros(len(texts), bool)
    longest_first = sorted({word.lower() for word in words}, key=lambda word: (-len(word), word))
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)")
    return np.array([pattern.search(text.lower()) is not None for text in texts], bool)


def clip_score(similarities: np.ndarray, *, share: float) -> np.ndarray:
    """About the share of all rows that has the largest cosine of image and text; similarities (n,), nan without a text.

    The limit is the value at place int(share * n), counted from 0, of the values in falling order, and ties with it stay: so many rows
    and one more, or several, as DataComp's code keeps them. Two shares are read otherwise: 1 keeps all rows with a text, where that code
    fails, and 0 keeps none, where it keeps the best row. Rows without a text count as rows and never stay. Raises ValueError for a share
    outside [0, 1].
    """
    return _largest(similarities, np.zeros(len(similarities), np.int64), share)


def text_margins(embeddings: np.ndarray, texts: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(n,) float64 in [-2, 2]: the cosine of an image to its own concept's text less the greatest to another concept's.

    embeddings (n, d), texts (K, d), L2-normalised; given (n,) int64 numbers of the concepts, -1 = none, whose margin is nan. With one
    concept the margin is the cosine. Raises ValueError for other shapes, and for concepts without a text.
    """
    if embeddings.ndim != 2 or texts.ndim != 2 or embeddings.shape[1] != texts.shape[1] or given.shape != embeddings.shape[:1]:
        shapes = f"embeddings {embeddings.shape}, texts {texts.shape} and given {given.shape}"
        raise ValueError(f"{shapes} don't belong together: (n, d), (K, d) and (n,) do")
    if len(given) and not -1 <= given.min() <= given.max() < len(texts):
        raise ValueError(f"given reaches from {given.min()} to {given.max()}: {len(texts)} texts are numbered from 0, and -1 is none")
    margins = np.full(len(given), np.nan)
    named = np.flatnonzero(given >= 0)
    for start in range(0, len(named), BLOCK):
        rows = named[start : start + BLOCK]
        cosines = embeddings[rows].astype(np.float32) @ texts.astype(np.float32).T
        places = (np.arange(len(rows)), given[rows])
        own = cosines[places].astype(np.float64)
        cosines[places] = -np.inf
        margins[rows] = own - cosines.max(1) if len(texts) > 1 else own
    return margins


def clip_margin(embeddings: np.ndarray, texts: np.ndarray, given: np.ndarray, *, share: float) -> np.ndarray:
    """About the share of each concept's rows that has the largest `text_margins`, counted as in `clip_score`; arguments, errors as there.

    Cosines are not compared across concepts: how near images lie to a text differs from concept to concept. Rows of no concept don't stay.
    """
    return _largest(text_margins(embeddings, texts, given), given, share)


def _largest(values: np.ndarray, groups: np.ndarray, share: float) -> np.ndarray:
    """(n,) bool: the rows of largest value in each group, as `clip_score` says; nan never."""
    if not 0 <= share <= 1:
        raise ValueError(f"a share of {share} can't be kept: it must lie between 0 and 1")
    if not share or not len(values):
        return np.zeros(len(values), bool)
    order = np.lexsort((-values, groups))  # nan comes last
    _, starts, members, counts = np.unique(groups[order], return_index=True, return_inverse=True, return_counts=True)
    known = np.add.reduceat(~np.isnan(values[order]), starts, dtype=np.int64)
    places = starts + np.minimum((counts * share).astype(np.int64), np.maximum(known, 1) - 1)
    limits = np.empty(len(values))
    limits[order] = values[order][places][members.reshape(-1)]
    stays: np.ndarray = values >= limits
    return stays


def image_based(embeddings: np.ndarray, references: np.ndarray, *, n_clusters: int, seed: int) -> np.ndarray:
    """Rows in those clusters of all images that are nearest to at least one reference.

    embeddings (n, d), references (m, d) float32, L2-normalised. Without references nobody stays. Raises ValueError for no cluster.
    """
    if n_clusters < 1:
        raise ValueError(f"n_clusters={n_clusters} leaves no cluster to look in: it must be 1 or more")
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
