"""Unit-length blobs with wrong names and off-topic rows, for tests of detectors."""

from dataclasses import dataclass

import numpy as np

from tasks.methods.prototypes import normalized


@dataclass(frozen=True)
class Blobs:
    """truth (n,), -1 = off-topic; given (n,); embeddings (n, d); neighbors and similarities (n, 50)."""

    truth: np.ndarray
    given: np.ndarray
    embeddings: np.ndarray
    neighbors: np.ndarray
    similarities: np.ndarray

    @property
    def groups(self) -> np.ndarray:
        return np.arange(len(self.given))

    @property
    def weights(self) -> np.ndarray:
        return np.ones(len(self.given))


def make_blobs(
    *,
    n_each: int = 100,
    n_concepts: int = 5,
    separation: float = 1.0,
    noise: float = 0.2,
    paired: float = 0.0,
    n_off: int = 0,
    n_clumps: int = 0,
    seed: int = 0,
) -> Blobs:
    """Concepts around random directions of length `separation` in 64 dimensions of spread 1; off-topic rows are scattered, or lie in
    `n_clumps` heaps of the same making.

    A share `noise` of the rows is given any other concept, and a share `paired` the next one.
    """
    rng = np.random.default_rng(seed)
    centres = normalized(rng.normal(size=(n_concepts, 64))) * separation
    truth = np.concatenate([np.repeat(np.arange(n_concepts), n_each), np.full(n_off, -1)])
    heaps = normalized(np.random.default_rng([seed, 1]).normal(size=(n_clumps, 64))) * separation if n_clumps else np.zeros((1, 64))
    around = np.where((truth >= 0)[:, None], centres[truth], heaps[np.arange(len(truth)) % len(heaps)])
    embeddings = normalized(around + rng.normal(size=(len(truth), 64)) / 8)
    wrong = (truth < 0) | (rng.random(len(truth)) < noise)
    given = np.where(wrong, (truth + rng.integers(1, n_concepts, len(truth))) % n_concepts, truth)
    given = np.where(~wrong & (rng.random(len(truth)) < paired / (1 - noise)), (truth + 1) % n_concepts, given)
    similarity = embeddings @ embeddings.T
    np.fill_diagonal(similarity, -2)
    neighbors = np.argsort(-similarity, axis=1, kind="stable")[:, :50]
    return Blobs(truth, given, embeddings, neighbors, np.take_along_axis(similarity, neighbors, 1))
