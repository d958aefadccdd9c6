"""Hierarchical k-means: the published split, trees by hand, and an even cover of uneven blobs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.methods.draws import draws
from tasks.methods.hierarchical_sampling import cluster_levels, level_sizes, sampled_rows, split_target
from tasks.methods.prototypes import normalized
from tests.tasks.methods.test_search import clusters


def test_the_published_split():
    counts = split_target(np.array([5, 50, 500, 5000]), 600, np.random.default_rng(0))
    assert counts[:2].tolist() == [5, 50]
    assert sorted(counts[2:].tolist()) == [272, 273]


@given(st.lists(st.integers(0, 50), max_size=12), st.integers(0, 600), st.integers(0, 3))
def test_a_split_is_exact_and_as_even_as_can_be(sizes, target, seed):
    held = np.array(sizes, np.int64)
    if target > held.sum():
        with pytest.raises(ValueError, match=f"{target} rows can't be drawn out of {held.sum()}"):
            split_target(held, target, np.random.default_rng(seed))
        return
    counts = split_target(held, target, np.random.default_rng(seed))
    assert counts.sum() == target
    assert (counts <= held).all()
    assert (counts[counts < held] >= counts.max(initial=0) - 1).all()


def test_a_tree_is_split_from_the_top():
    rows = np.array([0] * 10 + [1] * 10 + [2] * 10)  # the first two clusters are one at the top
    found = sampled_rows([rows, np.array([0, 0, 1])], draws(map(str, range(30)), salt=""), target=12, seed=0)
    assert np.bincount(rows[found]).tolist() == [3, 3, 6]
    assert len(set(found.tolist())) == 12


def test_the_smallest_draws_are_taken_and_the_first_of_equal_ones():
    assert sampled_rows([], np.array([0.5, 0.1, 0.1, 0.9]), target=2, seed=0).tolist() == [1, 2]
    assert sampled_rows([np.array([1, 0, 1, 0])], np.zeros(4), target=2, seed=0).tolist() == [0, 1]


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), max_size=30), st.integers(0, 30))
def test_as_many_rows_as_asked_for(rows, target):
    labels = np.array([label for label, _ in rows], np.int64)
    numbers = np.array([draw for _, draw in rows], np.float64)
    if target > len(rows):
        with pytest.raises(ValueError, match="can't be drawn"):
            sampled_rows([labels], numbers, target=target, seed=0)
    else:
        assert len(np.unique(sampled_rows([labels], numbers, target=target, seed=0))) == target


def test_levels_of_some_sizes():
    assert level_sizes(100_000) == [1265, 253, 50]
    assert level_sizes(1000) == [50, 10, 2]
    assert level_sizes(29) == level_sizes(0) == []


def test_frequent_things_are_drawn_less_than_their_share():
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(4), [1600, 200, 100, 100])
    vectors = normalized(np.eye(4, 16)[kinds] + 0.15 * rng.normal(size=(2000, 16))).astype(np.float16)
    levels = cluster_levels(vectors, sizes=[40, 4], seed=0, n_resamples=3)
    assert [len(level) for level in levels] == [2000, 40]
    found = sampled_rows(levels, rng.random(2000), target=200, seed=0)
    assert np.bincount(kinds[found]).min() >= 25  # of 10 that an even draw over rows would give
    assert np.bincount(kinds[found])[0] <= 110  # of 160


def test_the_same_seed_the_same_levels():
    vectors = clusters(400)
    one, two, other = (cluster_levels(vectors, sizes=[20, 4], seed=seed, n_resamples=2) for seed in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(one, two, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


def test_one_cluster_equal_vectors_and_none():
    assert cluster_levels(clusters(30), sizes=[1], seed=0)[0].tolist() == [0] * 30
    alike = np.repeat(clusters(1), 60, axis=0)
    found = sampled_rows(cluster_levels(alike, sizes=[3], seed=0), np.arange(60.0), target=7, seed=0)
    assert len(found) == 7
    assert cluster_levels(alike, sizes=[], seed=0) == []
    assert sampled_rows([], np.zeros(0), target=0, seed=0).shape == (0,)
    with pytest.raises(ValueError, match=r"2 points can't make 3 clusters: sizes \[2, 3\] must be positive and not grow"):
        cluster_levels(clusters(9), sizes=[2, 3], seed=0)
