"""Fold networks on plain colours."""

import numpy as np
import pytest
import torch

from tasks.methods.networks import NetworkSettings, augment, batches, out_of_fold_outputs

SETTINGS = NetworkSettings(
    widths=(8, 8, 16, 16), n_epochs=8, batch_size=16, learning_rate=0.05, weight_decay=5e-4, word_weight=0.5, max_shift=1, precision="fp32",
    n_threads=1, device="cpu",
)  # fmt: skip


def make(n: int = 120) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    truth = np.arange(n) % 2
    images = np.clip(np.array([[200, 60, 60], [60, 60, 200]])[truth][:, None, None] + rng.normal(0, 30, (n, 16, 16, 3)), 0, 255)
    targets = np.eye(2, dtype=np.float32)[truth]
    return images.astype(np.uint8), targets, truth


def test_every_row_is_judged_by_networks_that_never_saw_it():
    images, targets, truth = make()
    folds = np.where(np.arange(120) % 12 == 0, -1, np.arange(120) // 2 % 2)
    outputs = out_of_fold_outputs(images, targets, targets, folds, settings=SETTINGS, seed=0)
    for fold, output in enumerate(outputs):
        assert set(np.unique(folds[output.rows])) == {-1, fold}
        assert (output.log_probs.argmax(1) == truth[output.rows]).mean() > 0.9
        assert output.word_probs.sum(1) == pytest.approx(np.ones(len(output.rows)), abs=1e-5)
    flipped = np.where(folds[:, None] == 0, targets[:, ::-1], targets)
    again = out_of_fold_outputs(images, flipped, targets * 0, folds, settings=SETTINGS, seed=0)
    assert (again[0].log_probs.argmax(1) == truth[outputs[0].rows]).mean() > 0.9


def test_the_same_seed_gives_the_same_bytes():
    images, targets, _ = make(40)
    folds = np.arange(40) // 2 % 2
    first, second = (out_of_fold_outputs(images, targets, targets[:, :0], folds, settings=SETTINGS, seed=1) for _ in range(2))
    assert all((a.features == b.features).all() and a.word_probs.shape[1] == 0 for a, b in zip(first, second, strict=True))


def test_too_few_rows_are_named():
    images, targets, _ = make(3)
    with pytest.raises(ValueError, match="fold 0 leaves 1 rows to train on: give more rows or use predictor 'probe'"):
        out_of_fold_outputs(images, targets, targets, np.array([0, 0, 1]), settings=SETTINGS, seed=0)


def test_batches_and_augmentation():
    generator = torch.Generator().manual_seed(0)
    assert [len(batch) for batch in batches(np.arange(50), 16, generator)] == [16, 16, 16]
    assert [len(batch) for batch in batches(np.arange(5), 16, generator)] == [5]
    pixels = torch.rand(4, 3, 8, 8)
    moved = augment(pixels, 0, generator)
    assert all(torch.equal(a, b) or torch.equal(a, b.flip(2)) for a, b in zip(moved, pixels, strict=True))
