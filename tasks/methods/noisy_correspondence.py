"""Judge pairs of image and text: how likely the two belong together, after PC2 (Duan et al., ACM Multimedia 2024), on fixed embeddings.

PC2 trains two networks on each other's split; here the encoder is fixed, so the loss of a pair is its contrastive loss among others, and
what oscillates is a probe that names each image's kind of caption: once taught by all pairs, once by those that look clean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tasks.methods.cells import train_cells
from tasks.methods.probes import out_of_fold_log_probs
from tasks.methods.prototypes import normalized
from tasks.methods.small_loss import clean_posterior

POINTS_PER_KIND = 256  # captions that a kind's centroid learns from
WITHOUT_TEXT = 0.5  # says neither that they belong together nor that they don't


@dataclass(frozen=True)
class PairSettings:
    """batch_size pairs contrasted with each other, in each of n_shuffles; scale of the cosines in their softmax (CLIP: 100); at most
    n_kinds of captions; n_donors whose captions stand for a noisy image's; min_separation of the two modes of a loss, see
    `small_loss.clean_posterior`; max_margin of a triplet loss; l2, n_steps of the probe."""

    batch_size: int
    n_shuffles: int
    scale: float
    n_kinds: int
    n_donors: int
    min_separation: float
    max_margin: float
    l2: float
    n_steps: int


class JudgedPairs(NamedTuple):
    """n pairs. score (n,) float64 in [0, 1], 1 = image and text belong together, 0.5 without text; clean, stable (n,) float64: posteriors
    of a small loss and of a steady kind of caption; captions (n, d) float32: the own text of clean pairs, of the others their donors',
    zero where there is none; correspondence (n,) float64 in [0, 1] of image and that caption; margins (n,) float64 for a triplet loss."""

    score: np.ndarray
    clean: np.ndarray
    stable: np.ndarray
    captions: np.ndarray
    correspondence: np.ndarray
    margins: np.ndarray


def judge_pairs(
    images: np.ndarray,
    texts: np.ndarray,
    has_text: np.ndarray,
    groups: np.ndarray,
    neighbors: np.ndarray,
    similarities: np.ndarray,
    weights: np.ndarray,
    folds: np.ndarray,
    *,
    settings: PairSettings,
    seed: int,
) -> JudgedPairs:
    """Split the pairs by their loss, refine by the probe's steadiness, and find captions for the images whose own is not theirs.

    images, texts (n, d) float32 of unit length; has_text (n,) bool; groups (n,) int of copies of an image, which are never each other's
    negatives; neighbors (n, m) int64 among the images, -1 = none, similarities (n, m); weights (n,), 0 = teaches no probe; folds (n,) int,
    -1 = judged by all probes. Where the losses show one mode only, nobody is called noisy and all pairs with a text score 1. The paper
    calls the worst hundredth noisy even then; that is for a training that needs some, not for a verdict. Raises ValueError for arrays of
    different lengths and for vectors that are no numbers.
    """
    lengths = {len(array) for array in (images, texts, has_text, groups, neighbors, similarities, weights, folds)}
    if len(lengths) > 1 or images.shape != texts.shape:
        raise ValueError(
            f"images {images.shape} and texts {texts.shape} must be pairs of one width, and all arrays {len(images)} rows long"
        )
    if not (np.isfinite(images).all() and np.isfinite(texts).all()):
        raise ValueError("embeddings of images or texts hold NaN or infinity: embed them again, in float32")
    rows = np.flatnonzero(has_text)
    clean, stable = np.zeros(len(images)), np.zeros(len(images))
    losses = pair_losses(images[rows], texts[rows], groups[rows], settings=settings, seed=seed)
    clean[rows] = clean_posterior(losses, min_separation=settings.min_separation)
    kinds = np.full(len(images), -1)
    kinds[rows] = caption_kinds(texts[rows], n_kinds=settings.n_kinds, seed=seed)
    before = kind_log_probs(images, kinds, weights, folds, settings=settings)
    after = kind_log_probs(images, kinds, weights * clean, folds, settings=settings)
    moved = np.maximum((np.exp(before) * (before - after)).sum(1), 0.0)
    stable[rows] = clean_posterior(moved[rows], min_separation=settings.min_separation)
    refined = refined_correspondence(clean, stable)
    captions, similarity = donated_captions(texts, clean > 0.5, after.argmax(1), neighbors, similarities, n_donors=settings.n_donors)
    correspondence = np.where(clean > 0.5, refined, similarity)
    score = np.where(has_text, np.where(clean > 0.5, refined, clean), WITHOUT_TEXT)
    return JudgedPairs(score, clean, stable, captions, correspondence, soft_margins(correspondence, largest=settings.max_margin))


def pair_losses(images: np.ndarray, texts: np.ndarray, groups: np.ndarray, *, settings: PairSettings, seed: int) -> np.ndarray:
    """(n,) float64, 0 = each finds the other for sure: symmetric InfoNCE of every pair in random batches, averaged over shuffles.

    An equal text and another copy of the image are no negatives. Batches are of nearly equal size, for the loss grows with it.
    """
    total, n_batches = np.zeros(len(images)), max(1, round(len(images) / settings.batch_size))
    n_shuffles = settings.n_shuffles if n_batches > 1 else 1  # one batch of all pairs is the same in every order
    random, same_text = np.random.default_rng(seed), distinct_rows(texts)
    for _ in range(n_shuffles):
        for batch in np.array_split(random.permutation(len(images)), n_batches):
            logits = settings.scale * (images[batch].astype(np.float64) @ texts[batch].astype(np.float64).T)
            alike = (same_text[batch, None] == same_text[batch]) | (groups[batch, None] == groups[batch])
            own = logits.diagonal().copy()
            logits[alike] = -np.inf
            logits[np.diag_indices(len(batch))] = own
            total[batch] += (np.logaddexp.reduce(logits, 1) + np.logaddexp.reduce(logits, 0)) / 2 - own
    return np.maximum(total / n_shuffles, 0.0)


def caption_kinds(texts: np.ndarray, *, n_kinds: int, seed: int) -> np.ndarray:
    """(n,) int64: the kind of each caption, by spherical k-means of the different ones; at most `n_kinds`, and half as many as they are.

    PC2 learns these pseudo-classes with a penalty against their collapse; k-means can't collapse.
    """
    if not len(texts):
        return np.zeros(0, np.int64)
    number = distinct_rows(texts)
    different = texts[np.unique(number, return_index=True)[1]]
    wanted = max(1, min(n_kinds, len(different) // 2))
    cells = train_cells(different, cells_per_sqrt=wanted / math.sqrt(len(different)), points_per_cell=POINTS_PER_KIND, seed=seed)
    return np.unique(cells.labels[number], return_inverse=True)[1].reshape(-1)


def kind_log_probs(images: np.ndarray, kinds: np.ndarray, weights: np.ndarray, folds: np.ndarray, *, settings: PairSettings) -> np.ndarray:
    """(n, k) float64 log chances of each kind of caption by the image alone, out of fold; kinds (n,) int, -1 = teaches nothing."""
    targets = np.eye(max(int(kinds.max(initial=0)) + 1, 1), dtype=np.float32)[np.maximum(kinds, 0)]
    taught = np.where(kinds >= 0, weights, 0.0)
    return out_of_fold_log_probs(images, targets, taught, folds, l2=settings.l2, n_steps=settings.n_steps).astype(np.float64)


def refined_correspondence(clean: np.ndarray, stable: np.ndarray) -> np.ndarray:
    """(n,) in [0, 1]: p [p > 1/2] + (1 - p) q [q > 1/2] of the posteriors p = clean and q = stable.

    For pairs that the loss calls clean: what it leaves open is given by the oscillation.
    """
    return np.asarray(clean * (clean > 0.5) + (1 - clean) * stable * (stable > 0.5))


def soft_margins(correspondence: np.ndarray, *, largest: float) -> np.ndarray:
    """(n,) in [0, largest]: the margin of a triplet loss, (10^y - 1) / 9 of the largest at correspondence y in [0, 1]."""
    return np.asarray(largest * (10.0**correspondence - 1) / 9)


def donated_captions(
    texts: np.ndarray, clean: np.ndarray, kinds: np.ndarray, neighbors: np.ndarray, similarities: np.ndarray, *, n_donors: int
) -> tuple[np.ndarray, np.ndarray]:
    """Captions (n, d) float32 of unit length and the images' similarity (n,) float64 in [0, 1] to those who gave them.

    clean (n,) bool keep their own text. The others get the mean caption of the nearest `n_donors` clean images, weighted by similarity,
    if that is as great as at half of the clean images of their kind (n,) int; else none, which is zero and zero.
    """
    around, nearness = np.zeros(texts.shape), np.zeros(len(texts))
    taken, total = np.zeros(len(texts), np.int64), np.zeros(len(texts))
    for column in range(neighbors.shape[1]):
        there = np.maximum(neighbors[:, column], 0)
        gives = (neighbors[:, column] >= 0) & clean[there] & (taken < n_donors)
        weight = np.where(gives, np.maximum(similarities[:, column], 0.0), 0.0).astype(np.float64)
        around += weight[:, None] * texts[there]
        nearness += weight**2
        taken, total = taken + gives, total + weight
    nearness = np.minimum(nearness / np.maximum(total, 1e-12), 1.0)
    limits = np.full(int(kinds.max(initial=0)) + 1, np.median(nearness[clean]) if clean.any() else np.inf)
    for kind in np.unique(kinds[clean]):
        limits[kind] = np.median(nearness[clean & (kinds == kind)])
    accepted = ~clean & (total > 0) & (nearness >= limits[kinds])
    captions = np.where(clean[:, None], texts, np.where(accepted[:, None], normalized(around), 0.0))
    return captions.astype(np.float32), np.where(accepted, nearness, 0.0)


def distinct_rows(vectors: np.ndarray) -> np.ndarray:
    """(n,) int64: equal rows have equal numbers."""
    if not vectors.size:
        return np.zeros(len(vectors), np.int64)
    whole = np.ascontiguousarray(vectors).view(np.dtype((np.void, vectors.dtype.itemsize * vectors.shape[1])))
    return np.unique(whole.reshape(-1), return_inverse=True)[1].reshape(-1)
