"""Linear probes on blobs."""

import numpy as np
import pytest

from tasks.methods import blocks, probes
from tasks.methods.blocks import Columns
from tasks.methods.probes import fit_probe, out_of_fold_log_probs, probe_probs


def test_blobs_are_told_apart_out_of_fold():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    features = (np.eye(3)[truth] + rng.normal(0, 0.2, (300, 3))).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[truth]
    folds = np.where(np.arange(300) % 10 == 0, -1, np.arange(300) % 3)
    log_probs = out_of_fold_log_probs(features, targets, np.ones(300), folds, l2=1e-4, n_steps=30)
    assert (log_probs.argmax(1) == truth).mean() > 0.97


def test_a_row_has_no_part_in_its_own_judgement():
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (60, 5)).astype(np.float32)
    targets = np.eye(2, dtype=np.float32)[rng.integers(0, 2, 60)]
    folds = np.arange(60) % 3
    before = out_of_fold_log_probs(features, targets, np.ones(60), folds, l2=1e-3, n_steps=20)
    targets[folds == 0] = targets[folds == 0][:, ::-1]
    after = out_of_fold_log_probs(features, targets, np.ones(60), folds, l2=1e-3, n_steps=20)
    assert (before[folds == 0] == after[folds == 0]).all()
    assert (before[folds == 1] != after[folds == 1]).any()


def test_no_rows_give_even_chances():
    probe = fit_probe(np.zeros((0, 4)), np.zeros((0, 5)), np.zeros(0), l2=1e-3, n_steps=5)
    assert probe_probs(np.ones((2, 4)), probe).tolist() == [[0.2] * 5] * 2


def test_blocks_of_rows_and_columns_put_together_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    features = rng.normal(3, 2, (120, 6)).astype(np.float32)
    targets = rng.dirichlet(np.ones(3), 120).astype(np.float32)
    rows = (targets, np.where(np.arange(120) % 7, 1.0, 0.0), np.arange(120) % 4 - 1)
    whole = out_of_fold_log_probs(features, *rows, l2=1e-3, n_steps=20)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 500)
    parts = out_of_fold_log_probs(Columns(features[:, :2], features[:, 2:]), *rows, l2=1e-3, n_steps=20)
    assert parts == pytest.approx(whole, abs=1e-4)
    monkeypatch.setattr(probes, "HELD_BYTES", 0)
    assert out_of_fold_log_probs(features, *rows, l2=1e-3, n_steps=20) == pytest.approx(whole, abs=1e-4)


def test_the_order_of_the_rows_does_not_show():
    rng = np.random.default_rng(0)
    features, targets = rng.normal(0, 1, (900, 40)).astype(np.float32), np.eye(4, dtype=np.float32)[rng.integers(0, 4, 900)]
    folds, weights, order = np.arange(900) % 3, np.where(np.arange(900) % 7, 1.0, 0.0), rng.permutation(900)
    first = out_of_fold_log_probs(features, targets, weights, folds, l2=1e-4, n_steps=60)
    second = out_of_fold_log_probs(features[order], targets[order], weights[order], folds[order], l2=1e-4, n_steps=60)
    assert np.abs(np.exp(first[order]) - np.exp(second)).max() <= 1e-6
