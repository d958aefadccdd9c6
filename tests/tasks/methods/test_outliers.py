"""Outliers among blobs."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tasks.methods import blocks
from tasks.methods.outliers import neighbor_similarity, ranks, relative_mahalanobis


def test_ranks():
    assert ranks(np.array([3.0, 1.0, 2.0, 2.0]), np.array([True, True, True, True])) == pytest.approx([0.875, 0.125, 0.5, 0.5])
    assert ranks(np.array([5.0, 0.0]), np.array([False, False])) == pytest.approx([0.5, 0.5])


def test_an_off_topic_clump_is_far_when_it_shapes_only_the_background():
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 1, (5, 32)) / np.sqrt(32)
    x = np.concatenate([centres[rng.integers(0, 4, 800)], np.repeat(centres[4:], 100, 0)]) + rng.normal(0, 0.1, (900, 32))
    inside = np.arange(900) < 800
    nearest = ((x[:, None] - centres[:4]) ** 2).sum(2).argmin(1)
    members = np.eye(4)[nearest] * inside[:, None]
    value = relative_mahalanobis(x, members, np.ones(900), shrinkage=0.1)
    assert roc_auc_score(inside, value) > 0.98


def test_no_trusted_rows_and_equal_embeddings_give_numbers():
    x = np.ones((5, 4))
    assert relative_mahalanobis(x, np.zeros((5, 2)), np.ones(5), shrinkage=0.1).tolist() == [0] * 5
    assert np.isfinite(relative_mahalanobis(x, np.ones((5, 2)), np.ones(5), shrinkage=0.1)).all()


def test_similarity_counts_trust_and_leaves_copies_out():
    neighbors = np.array([[1, 2], [0, 2], [0, 1]])
    similarities = np.array([[0.9, 0.4], [0.9, 0.6], [0.4, 0.6]])
    value = neighbor_similarity(neighbors, similarities, np.array([1.0, 1.0, 0.5]), np.array([0, 0, 1]))
    assert value == pytest.approx([0.2, 0.3, 0.5])


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    x, members, weights = rng.normal(size=(90, 6)).astype(np.float32), rng.random((90, 3)), rng.integers(0, 2, 90).astype(float)
    graph = rng.integers(-1, 90, (90, 5)), rng.random((90, 5)), rng.random(90), rng.integers(0, 60, 90)
    whole = relative_mahalanobis(x, members, weights, shrinkage=0.1), neighbor_similarity(*graph)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 500)
    parts = relative_mahalanobis(x, members, weights, shrinkage=0.1), neighbor_similarity(*graph)
    assert parts[0] == pytest.approx(whole[0])
    assert np.array_equal(parts[1], whole[1])
