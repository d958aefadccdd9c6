"""Wrong labels in a test set are found, and accuracy is taken without them."""

import numpy as np

from tasks.methods.clean_errors import accuracy_without, clean_set_errors

HOW = {"n_folds": 5, "penalty": 0.01, "max_iterations": 100, "seed": 0}


def test_flipped_labels_are_found() -> None:
    generator = np.random.default_rng(0)
    truth = np.arange(300) % 3
    features = (np.eye(3)[truth] * 4 + generator.normal(0, 0.7, (300, 3))).astype(np.float32)
    flipped = np.arange(300) % 20 == 0
    labels = np.where(flipped, (truth + 1) % 3, truth)
    doubted = clean_set_errors(features, labels, **HOW)  # type: ignore[arg-type]
    assert doubted[flipped].mean() > 0.8
    assert doubted[~flipped].mean() < 0.02
    assert accuracy_without(truth, labels, doubted) > np.mean(truth == labels) + 0.03  # type: ignore[operator]


def test_accuracy_without_is_on_the_rest() -> None:
    predicted, classes = np.array([0, 1, 1]), np.array([0, 1, 0])
    assert accuracy_without(predicted, classes, np.array([False, False, True])) == 1.0
    assert accuracy_without(predicted, classes, np.ones(3, bool)) is None
