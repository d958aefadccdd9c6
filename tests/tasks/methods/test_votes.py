"""Votes of neighbours, by hand."""

import numpy as np
import pytest

from tasks.methods import blocks
from tasks.methods.votes import given_share, vote_shares

NEIGHBORS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, -1], [-1, -1, -1]])
SIMILARITIES = np.array([[0.9, 0.6, 0.3], [0.9, 0.5, 0.5], [0.6, 0.5, 0.0], [0, 0, 0]], np.float32)
GIVEN = np.array([0, 0, 1, 1])


def test_votes_count_by_similarity():
    shares = vote_shares(NEIGHBORS, SIMILARITIES, GIVEN, np.arange(4), np.ones(4, bool), n_concepts=2)
    assert shares[0] == pytest.approx([0.5, 0.5])
    assert shares[2] == pytest.approx([1.0, 0.0])
    assert shares[3] == pytest.approx([0.5, 0.5])
    assert given_share(shares, GIVEN) == pytest.approx([0.5, 0.9 / 1.9, 0.0, 0.5])


def test_own_copies_and_the_test_split_have_no_vote():
    shares = vote_shares(NEIGHBORS, SIMILARITIES, GIVEN, np.array([0, 0, 1, 2]), np.ones(4, bool), n_concepts=2)
    assert shares[0] == pytest.approx([0.0, 1.0])
    shares = vote_shares(NEIGHBORS, SIMILARITIES, GIVEN, np.arange(4), np.array([True, True, False, False]), n_concepts=2)
    assert shares[0] == pytest.approx([1.0, 0.0])


def test_without_neighbours_or_concepts_votes_are_even():
    empty = vote_shares(np.zeros((2, 0), np.int64), np.zeros((2, 0)), np.array([0, 1]), np.arange(2), np.ones(2, bool), n_concepts=4)
    assert empty == pytest.approx(np.full((2, 4), 0.25))
    shares = vote_shares(NEIGHBORS, SIMILARITIES, np.full(4, -1), np.arange(4), np.ones(4, bool), n_concepts=2)
    assert given_share(shares, np.full(4, -1)) == pytest.approx([0.5] * 4)


def test_blocks_change_nothing(monkeypatch):
    whole = vote_shares(NEIGHBORS, SIMILARITIES, GIVEN, np.arange(4), np.ones(4, bool), n_concepts=2)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    assert np.array_equal(vote_shares(NEIGHBORS, SIMILARITIES, GIVEN, np.arange(4), np.ones(4, bool), n_concepts=2), whole)
