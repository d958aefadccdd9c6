"""The streamed form against the dense one."""

import tracemalloc

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


def test_a_thousand_concepts_take_a_tenth_of_their_dense_predictions():
    n, k, listed = 20_000, 1000, 20
    rng = np.random.default_rng(0)
    concepts = ((rng.integers(0, k, n)[:, None] + 7 * np.arange(listed)) % k).astype(np.int32)  # 7 and 1000 share no factor: all differ
    probs = (np.geomspace(0.5, 0.001, listed) * rng.uniform(0.5, 1.0, n)[:, None]).astype(np.float32)
    given = np.where(rng.random(n) < 0.2, rng.integers(0, k, n), concepts[:, 0])
    tracemalloc.start()
    found = sparse_issues(chunks(concepts, probs, given, rows=1000), chunks(concepts, probs, given, rows=1000), n_concepts=k)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.is_issue.any()
    assert most < n * k * np.dtype(np.float32).itemsize / 10


@pytest.mark.parametrize(
    ("concepts", "given", "message"),
    [
        ([[0, 1]], [5], "given concept 5 of 3: number them from 0; only a given one may be -1, for none"),
        ([[0, 1]], [-2], "given concept -2 of 3"),
        ([[0, 3]], [0], "listed concept 3 of 3"),
        ([[0, -1]], [0], "listed concept -1 of 3"),
    ],
)
def test_concepts_out_of_range_are_refused(concepts, given, message):
    chunk = (np.array(concepts), np.array([[0.9, 0.1]]), np.array(given))
    with pytest.raises(ValueError, match=message):
        sparse_issues([chunk], [chunk], n_concepts=3)


@pytest.mark.parametrize("again", [0, 2])
def test_passes_of_different_lengths_are_refused(again):
    chunk = (np.array([[0, 1]]), np.array([[0.9, 0.1]]), np.array([0]))
    with pytest.raises(ValueError, match=f"the first pass gave 1 rows, the second {again} or more: both must give the same chunks"):
        sparse_issues([chunk], [chunk] * again, n_concepts=3)


def test_an_empty_list_is_refused():
    with pytest.raises(ValueError, match="k is 0: list at least 1 concept of each row"):
        top_concepts(np.eye(3), 0)


def test_no_rows_and_a_single_concept():
    assert sparse_issues([], [], n_concepts=3).limits.tolist() == [2, 2, 2]
    assert not find(np.ones((3, 1)), np.array([0, 0, -1]), 20).is_issue.any()
