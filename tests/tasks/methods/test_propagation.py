"""Propagation, by hand and on blobs: what it finds, and who has no vote."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.methods.open_set import auroc
from tasks.methods.propagation import propagated
from tasks.methods.votes import given_share
from tests.tasks.methods.blobs import make_blobs

NEIGHBORS = np.array([[1, 2], [0, 2], [1, -1], [-1, -1]])
SIMILARITIES = np.array([[0.9, 0.3], [0.5, 0.5], [0.8, 0.0], [0.0, 0.0]])
GIVEN = np.array([0, 0, 1, -1])
EVERYBODY = np.ones(4)


def spread(groups=None, weights=EVERYBODY, *, given=GIVEN, alpha=0.6, n_steps=1, n_concepts=2):
    groups = np.arange(4) if groups is None else groups
    return propagated(NEIGHBORS, SIMILARITIES, given, groups, weights, n_concepts=n_concepts, alpha=alpha, n_steps=n_steps)


def test_one_step_and_two_by_hand():
    assert spread() == pytest.approx(np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.5, 0.5]]))
    first = 0.6 * 0.9 + 0.4 * (0.75 * 0.8 + 0.25 * 0.4)
    assert spread(n_steps=2)[0] == pytest.approx([first, 1 - first])
    assert spread(n_steps=0)[:3].argmax(1).tolist() == [0, 0, 1]
    assert spread(alpha=1.0) == pytest.approx(spread(n_steps=0))


def test_copies_and_rows_without_weight_have_no_vote():
    assert spread(np.array([0, 0, 1, 2]))[0] == pytest.approx([0.6, 0.4])
    assert spread(np.array([0, 0, 0, 1]), n_steps=9)[:3] == pytest.approx(np.eye(2)[[0, 0, 1]])
    assert spread(weights=np.array([1, 1, 0, 1]))[:2] == pytest.approx(np.eye(2)[[0, 0]])
    assert spread(weights=np.array([1, 0.5, 1, 1]))[0] == pytest.approx([0.6 + 0.4 * 0.6, 0.4 * 0.4])


def test_a_row_without_a_concept_takes_its_neighbours_and_one_concept_is_certain():
    assert spread(given=np.array([-1, 0, 1, 0]))[0] == pytest.approx([0.75, 0.25])
    assert spread(given=np.zeros(4, int), n_concepts=1, n_steps=5) == pytest.approx(np.ones((4, 1)))
    assert spread(given=np.full(4, -1)) == pytest.approx(np.full((4, 2), 0.5))


@given(st.integers(1, 20), st.integers(1, 4), st.integers(1, 4), st.integers(0, 5), st.integers(0, 5))
def test_shares_are_shares_whatever_the_order(n, k, n_concepts, n_steps, seed):
    rng = np.random.default_rng(seed)
    neighbors, similarities = rng.integers(-1, n, (n, k)), rng.uniform(-0.2, 1, (n, k))
    names, groups, weights = rng.integers(-1, n_concepts, n), rng.integers(0, n, n), rng.integers(0, 2, n) / 2
    told = {"n_concepts": n_concepts, "alpha": 0.6, "n_steps": n_steps}
    shares = propagated(neighbors, similarities, names, groups, weights, **told)
    assert shares.sum(1) == pytest.approx(np.ones(n), abs=1e-5)
    order = rng.permutation(n)
    places = np.append(np.argsort(order), -1)  # the last one for "none"
    turned = propagated(places[neighbors[order]], similarities[order], names[order], groups[order], weights[order], **told)
    assert turned == pytest.approx(shares[order], abs=1e-5)


def test_wrong_concepts_stand_out():
    blobs = make_blobs(noise=0.3)
    graph = blobs.neighbors[:, :10], blobs.similarities[:, :10]
    found = propagated(*graph, blobs.given, blobs.groups, blobs.weights, n_concepts=5, alpha=0.6, n_steps=5)
    assert auroc(given_share(found, blobs.given), blobs.given == blobs.truth) > 0.95


def test_all_alike_and_nobody():
    alike = propagated(
        np.array([[1], [0]]), np.ones((2, 1)), np.array([0, 1]), np.arange(2), np.ones(2), n_concepts=2, alpha=0.5, n_steps=1
    )
    assert alike == pytest.approx(np.full((2, 2), 0.5))
    nobody = propagated(
        np.zeros((0, 3), int), np.zeros((0, 3)), np.zeros(0, int), np.zeros(0, int), np.zeros(0), n_concepts=2, alpha=0.6, n_steps=5
    )
    assert nobody.shape == (0, 2)
    with pytest.raises(ValueError, match=r"alpha 1.5 must be in \[0, 1\] and n_steps 1 at least 0"):
        spread(alpha=1.5)
