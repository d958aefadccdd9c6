"""The streamed form against the dense one."""

import numpy as np
import pytest

from tasks.methods.confident_learning import confident_guesses, confident_joint, label_issues, thresholds
from tasks.methods.sparse_labels import SparseIssues, chunks, sparse_issues, top_concepts
from tests.tasks.methods.label_tables import predictions


def find(pred_probs: np.ndarray, given: np.ndarray, k: int, rows: int = 128) -> SparseIssues:
    listed = top_concepts(pred_probs, k)
    return sparse_issues(chunks(*listed, given, rows=rows), chunks(*listed, given, rows=rows), n_concepts=pred_probs.shape[1])


def test_top_concepts_fall():
    concepts, probs = top_concepts(np.array([[0.1, 0.5, 0.4], [0.3, 0.3, 0.4]]), 2)
    assert concepts.tolist() == [[1, 2], [2, 0]]
    assert probs[0] == pytest.approx([0.5, 0.4])


def test_with_all_concepts_listed_it_is_the_dense_form():
    pred_probs, given = predictions(1000, 12, 0)
    given[::50] = -1
    found = find(pred_probs, given, 12)
    assert np.array_equal(found.is_issue, label_issues(pred_probs, given))
    assert found.limits == pytest.approx(thresholds(pred_probs, given), abs=1e-6)
    guesses = confident_guesses(pred_probs, thresholds(pred_probs, given))
    assert np.array_equal(found.guesses, guesses)
    dense = confident_joint(given, guesses, n_concepts=12)
    assert all(dense[a, b] == n for (a, b), n in zip(found.pairs, found.counts, strict=True))
    assert found.counts.sum() == ((given >= 0) & (guesses >= 0)).sum()


def test_with_few_listed_it_is_close():
    pred_probs, given = predictions(4000, 100, 1)
    dense, sparse = label_issues(pred_probs, given), find(pred_probs, given, 20).is_issue
    assert (dense & sparse).sum() / (dense | sparse).sum() > 0.95


def test_the_size_of_the_chunks_does_not_matter():
    pred_probs, given = predictions(500, 30, 2)
    for one, other in zip(find(pred_probs, given, 5, rows=7), find(pred_probs, given, 5, rows=500), strict=True):
        assert np.array_equal(one, other)


def test_no_rows_and_a_single_concept():
    assert sparse_issues([], [], n_concepts=3).limits.tolist() == [2, 2, 2]
    assert not find(np.ones((3, 1)), np.array([0, 0, -1]), 20).is_issue.any()
