"""Distances by shared neighbours: by hand, on two chains, and on equal rows."""

import numpy as np
import pytest

from tasks.methods.reranking import reciprocal_distances

SETTINGS = {"k_near": 4, "k_mean": 2, "share": 0.3}


def test_without_neighbourhoods_the_scaled_distance_is_left():
    queries, gallery = np.array([[0.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 2.0]])
    # Squared distances to the query 1 and 4; columns are scaled by their own greatest one, 5 and 5.
    found = reciprocal_distances(queries, gallery, k_near=1, k_mean=1, share=1.0)
    assert found == pytest.approx(np.array([[1 / 4, 4 / 4]]))


def test_by_hand_with_one_neighbour_each():
    queries, gallery = np.array([[0.0]]), np.array([[1.0], [5.0]])
    # Query and first are each other's nearest; the third row has no reciprocal neighbour but itself.
    found = reciprocal_distances(queries, gallery, k_near=1, k_mean=1, share=0.0)
    a, b = 1.0, np.exp(-1 / 25)  # the query's row is scaled by its greatest distance, 25
    c = np.exp(-1 / 16)  # the first row's by 16
    own, other = np.array([a, b]) / (a + b), np.array([c, 1.0]) / (1 + c)
    shared = np.minimum(own, other).sum()
    assert found == pytest.approx(np.array([[1 - shared / (2 - shared), 1.0]]))


def test_the_querys_own_crowd_comes_before_strangers():
    rng = np.random.default_rng(0)
    crowd, strangers = rng.normal(0, 0.3, (30, 2)), rng.normal((3.0, 0.0), 0.3, (30, 2))
    query = np.array([[0.9, 0.0]])
    found = reciprocal_distances(query, np.concatenate([crowd, strangers]), k_near=10, k_mean=3, share=0.3)[0]
    assert (found[:30, None] < found[None, 30:]).mean() > 0.98


def test_the_order_of_the_gallery_does_not_matter():
    rows = np.random.default_rng(0).normal(size=(20, 5))
    order = np.random.default_rng(1).permutation(19)
    first = reciprocal_distances(rows[:1], rows[1:], **SETTINGS)
    assert reciprocal_distances(rows[:1], rows[1:][order], **SETTINGS) == pytest.approx(first[:, order])


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_equal_and_few_rows_give_numbers(n):
    found = reciprocal_distances(np.ones((1, 3)), np.ones((n, 3)), **SETTINGS)
    assert found.shape == (1, n)
    assert np.isfinite(found).all()
