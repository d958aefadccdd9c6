"""Find copies: pairs of pictures that show the same, with the evidence, out of contents, hashes, neighbours and thumbnails.

Rows stand in the order in which they were seen; pairs are (earlier, later). A content (equal bytes) is stood for by its first row.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from tasks.methods.details import detail_similarity
from tasks.methods.groups import Resembles
from tasks.methods.hamming import hamming_pairs
from tasks.methods.perceptual import SIDE, copy_similarity, thumbnail
from tasks.methods.pictures import DECODER_ERRORS, perceptual_hashes, to_rgb


def first_of_content(digests: Sequence[str]) -> np.ndarray:
    """The first row (n,) int64 that holds the same bytes as each row, told by `digests`."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(digest, row) for row, digest in enumerate(digests)], np.int64)


def exact_pairs(first: np.ndarray) -> np.ndarray:
    """Pairs (m, 2) of every further row of a content with its first: as many as there are copies, however often one is repeated."""
    later = np.flatnonzero(first != np.arange(len(first)))
    return np.stack([first[later], later], axis=1)


def hash_candidates(rows: np.ndarray, hashes: np.ndarray, mirrored: np.ndarray, *, radius: int, max_per_hash: int) -> np.ndarray:
    """Pairs (m, 2) of `rows` (k,) whose pHashes (k,) uint64 differ in at most `radius` bits, as they are or one of them mirrored."""
    plain, _ = hamming_pairs(hashes, radius=radius, max_per_hash=max_per_hash)
    flipped, _ = hamming_pairs(hashes, mirrored, radius=radius, max_per_hash=max_per_hash)
    return distinct_pairs(rows[np.concatenate([plain, flipped])])


def marginless_candidates(rows: np.ndarray, hashes: np.ndarray, marginless: np.ndarray, *, radius: int, max_per_hash: int) -> np.ndarray:
    """Pairs (m, 2) of `rows` (k,) where one's pHash without a margin, of `marginless` (k, c), is near the other's of `hashes` (k,)."""
    found = [np.zeros((0, 2), np.int64)]
    for column in marginless.T:
        found.append(hamming_pairs(np.ascontiguousarray(column), hashes, radius=radius, max_per_hash=max_per_hash)[0])
    return distinct_pairs(rows[np.concatenate(found)])


def neighbor_candidates(
    positions: np.ndarray, neighbors: np.ndarray, similarities: np.ndarray, first: np.ndarray, *, min_similarity: float
) -> np.ndarray:
    """Pairs (m, 2) of contents that a kNN graph's edges of at least `min_similarity` join.

    `positions` (e,), `neighbors` (e,), `similarities` (e,): one entry per edge.
    """
    near = similarities >= min_similarity
    return distinct_pairs(np.stack([first[positions[near]], first[neighbors[near]]], axis=1))


def distinct_pairs(pairs: np.ndarray) -> np.ndarray:
    """Each pair once, as (earlier, later), sorted; pairs of a row with itself are left out."""
    ordered = np.sort(pairs[pairs[:, 0] != pairs[:, 1]].reshape(-1, 2), axis=1)
    return np.unique(ordered, axis=0) if len(ordered) else np.zeros((0, 2), np.int64)


@dataclass(frozen=True)
class Copies:
    """Confirmed pairs (m, 2) and how alike each looks, (m,) float32, 1 for equal pictures."""

    pairs: np.ndarray
    similarities: np.ndarray


def nearest_copy(n: int, copies: Iterable[Copies]) -> np.ndarray:
    """How alike the nearest copy of each of `n` rows looks, (n,) float32; 0 for rows without any."""
    nearest = np.zeros(n, np.float32)
    for found in copies:
        for side in (0, 1):
            np.maximum.at(nearest, found.pairs[:, side], found.similarities)
    return nearest


def together(first: Copies, second: Copies) -> Copies:
    """The pairs of both, once each, with the higher similarity."""
    pairs, places = np.unique(np.concatenate([first.pairs, second.pairs]), axis=0, return_inverse=True)
    similarities = np.zeros(len(pairs), np.float32)
    np.maximum.at(similarities, places.reshape(-1), np.concatenate([first.similarities, second.similarities]))
    return Copies(pairs, similarities)


@dataclass(frozen=True)
class Thumbnails:
    """Thumbnails of some rows: `rows` (k,) ascending, `pictures` (k, s, s) uint8."""

    rows: np.ndarray
    pictures: np.ndarray

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Thumbnails (m, s, s) of `rows` (m,). Raises ValueError if one is not among them."""
        places = np.searchsorted(self.rows, rows)
        inside = places < len(self.rows)
        inside[inside] = self.rows[places[inside]] == rows[inside]
        if not inside.all():
            raise ValueError(f"row {rows[~inside][0]} has no thumbnail among the {len(self.rows)} that were read")
        pictures: np.ndarray = self.pictures[places]
        return pictures

    def similarity(self, first: np.ndarray, second: np.ndarray, *, max_zoom: float) -> np.ndarray:
        """How alike rows (m,) and rows (m,) look, (m,) float32, the better of the second as it is and mirrored."""
        return picture_similarity(self.of(first), self.of(second), max_zoom=max_zoom)

    def confirm(self, candidates: np.ndarray, *, min_similarity: float, max_zoom: float) -> Copies:
        """The candidate pairs (m, 2) that look at least that much alike."""
        similarities = self.similarity(candidates[:, 0], candidates[:, 1], max_zoom=max_zoom)
        alike = similarities >= min_similarity
        return Copies(candidates[alike], similarities[alike])

    def same_details(self, pairs: np.ndarray, least: np.ndarray, *, min_layout: float, max_zoom: float) -> tuple[np.ndarray, np.ndarray]:
        """Which (m,) bool of the pairs (m, 2) have layouts and details that similar; and how similar their layouts are, (m,).

        `least` (m,): how similar details must be, infinite where pictures are too small to have any.
        """
        alike, layout = np.zeros(len(pairs), bool), np.zeros(len(pairs), np.float32)
        told = np.flatnonzero(np.isfinite(least))
        layout[told], details = detail_similarity(self.of(pairs[told, 0]), self.of(pairs[told, 1]), max_zoom=max_zoom)
        alike[told] = (layout[told] >= min_layout) & (details >= least[told])
        return alike, layout

    def resemblance(
        self, first: np.ndarray, *, min_similarity: float, max_zoom: float, same_details: Callable[[np.ndarray], np.ndarray]
    ) -> Resembles:
        """The question of `grow_groups`: do rows look like their group's first-seen member? Rows of one content (`first`) do.

        `same_details` answers for pairs (m, 2) whether they are copies by their details, (m,) bool; then they do as well.
        """

        def resembles(heads: np.ndarray, members: np.ndarray) -> np.ndarray:
            heads, members = first[heads], first[members]
            answers: np.ndarray = heads == members
            others = np.flatnonzero(~answers)
            answers[others] = self.similarity(heads[others], members[others], max_zoom=max_zoom) >= min_similarity
            others = np.flatnonzero(~answers)
            answers[others] = same_details(np.stack([heads[others], members[others]], axis=1))
            return answers

        return resembles


def picture_similarity(first: np.ndarray, second: np.ndarray, *, max_zoom: float) -> np.ndarray:
    """`copy_similarity` of pictures (m, s, s), the better of the second as it is and mirrored."""
    flipped = copy_similarity(first, second[:, :, ::-1], max_zoom=max_zoom)
    better: np.ndarray = np.maximum(copy_similarity(first, second, max_zoom=max_zoom), flipped)
    return better


def clean_copies(hashes: np.ndarray, mirrored: np.ndarray, clean_hashes: np.ndarray, *, radius: int, max_per_hash: int) -> np.ndarray:
    """Candidate pairs (m, 2) of crawled pictures with clean ones, by pHash as it is or mirrored."""
    found = [hamming_pairs(own, clean_hashes, radius=radius, max_per_hash=max_per_hash)[0] for own in (hashes, mirrored)]
    pairs: np.ndarray = np.unique(np.concatenate(found), axis=0)
    return pairs


@dataclass(frozen=True)
class CleanPictures:
    """Pictures of clean test sets: SHA-256 `digests`, pHashes (n,) uint64, `thumbnails` (n, s, s) uint8."""

    digests: frozenset[str]
    hashes: np.ndarray
    thumbnails: np.ndarray


def describe_pictures(images: Sequence[bytes]) -> CleanPictures:
    """Digests, hashes and thumbnails of encoded pictures. Raises ValueError for bytes that can't be decoded."""
    hashes, thumbnails = np.zeros(len(images), np.uint64), np.zeros((len(images), SIDE, SIDE), np.uint8)
    for place, data in enumerate(images):
        try:
            rgb = to_rgb(Image.open(BytesIO(data)))
        except DECODER_ERRORS as error:
            raise ValueError(f"picture {place} of the clean sets can't be decoded ({error}): replace or remove it") from None
        hashes[place] = perceptual_hashes(rgb)[0]
        thumbnails[place] = np.frombuffer(thumbnail(rgb), np.uint8).reshape(SIDE, SIDE)
    return CleanPictures(frozenset(hashlib.sha256(data).hexdigest() for data in images), hashes, thumbnails)
