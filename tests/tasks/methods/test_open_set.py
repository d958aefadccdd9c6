"""Pictures of none of the concepts: by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tasks.methods.open_set import auroc, open_set_f1


def test_auroc_counts_ties_half() -> None:
    assert auroc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False])) == pytest.approx(3.5 / 4)
    generator = np.random.default_rng(0)
    scores, positive = generator.integers(0, 20, 300) / 20, generator.random(300) < 0.4
    assert auroc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))
    with pytest.raises(ValueError, match="0 of 2 rows are positive: AUROC needs both kinds"):
        auroc(np.array([0.1, 0.2]), np.array([False, False]))


def test_a_model_that_is_sure_of_its_own_only_is_perfect() -> None:
    predicted, classes = np.array([0, 1, 1, 0]), np.array([0, 1, -1, -1])
    assert open_set_f1(predicted, np.array([0.9, 0.9, 0.2, 0.3]), classes, n_classes=2) == pytest.approx(1.0)


def test_refusing_what_cannot_be_told_apart_costs() -> None:
    predicted, classes = np.array([0, 1, 1, 0]), np.array([0, 1, -1, -1])
    found = open_set_f1(predicted, np.full(4, 0.7), classes, n_classes=2)
    # All taken: precisions 1/2, 1/2, 0 and recalls 1, 1, 0. All refused: precisions 0, 0, 1/2 and recalls 0, 0, 1.
    assert found == pytest.approx(2 * (1 / 3) * (2 / 3) / 1.0)
