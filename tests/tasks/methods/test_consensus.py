"""Noise by consensus: the worked example, planted noise, copies, and too little to go by."""

import numpy as np
import pytest

from tasks.methods.consensus import Consensus, count_consensus, draws, error_chances, fit_noise, nearest_two
from tests.tasks.methods.blobs import make_blobs

TRANSITION = np.array([[0.8, 0.15, 0.05], [0.1, 0.85, 0.05], [0.05, 0.25, 0.7]])
PRIOR = np.array([0.5, 0.3, 0.2])
COUNTING = {"n_concepts": 5, "n_rounds": 5, "share": 0.9, "n_slices": 100, "seed": 0}


def implied(sliced: np.ndarray) -> Consensus:
    first = PRIOR @ TRANSITION
    second = np.einsum("a,ai,aj->ij", PRIOR, TRANSITION, TRANSITION)
    return Consensus(first, second, np.einsum("a,ai,aj,al->ijl", PRIOR, TRANSITION, TRANSITION, TRANSITION)[sliced], sliced)


@pytest.mark.parametrize("sliced", [[0, 1, 2], [0, 1]])
def test_exact_frequencies_give_back_the_noise(sliced):
    consensus = implied(np.array(sliced))
    assert consensus.first == pytest.approx([0.44, 0.38, 0.18])
    assert consensus.second[0] == pytest.approx([0.3235, 0.0880, 0.0285])
    transition, prior = fit_noise(consensus, n_steps=1500)
    assert transition == pytest.approx(TRANSITION, abs=0.005)
    assert prior == pytest.approx(PRIOR, abs=0.005)
    assert error_chances(transition, prior)[:, 0] == pytest.approx(TRANSITION[:, 0] * PRIOR / 0.44, abs=0.005)


def test_planted_noise_is_estimated():
    rows = make_blobs(n_each=300, noise=0.3)
    consensus = count_consensus(rows.neighbors, rows.given, rows.groups, rows.weights, **COUNTING)
    assert consensus.first.sum() == pytest.approx(1)
    assert consensus.third.sum() == pytest.approx(1)
    transition, prior = fit_noise(consensus, n_steps=1500)
    assert np.diag(transition) == pytest.approx(np.full(5, 0.7), abs=0.15)  # 1,500 rows: 0.06 on average
    assert np.diag(transition).mean() == pytest.approx(0.7, abs=0.03)
    assert prior == pytest.approx(np.full(5, 0.2), abs=0.08)


def distance(consensus: Consensus, transition: np.ndarray, prior: np.ndarray) -> float:
    """Summed Frobenius distances between what was counted and what transition and prior imply."""
    pairs = np.einsum("a,ai,aj->ij", prior, transition, transition)
    triples = np.einsum("a,ai,aj,al->ijl", prior, transition, transition, transition, optimize=True)[consensus.sliced]
    both = ((prior @ transition, consensus.first), (pairs, consensus.second), (triples, consensus.third))
    return sum(float(np.sqrt(((implied - seen) ** 2).sum())) for implied, seen in both)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("separation", [1.0, 0.5])
def test_the_fit_is_nearer_than_the_truth_and_on_its_diagonal(separation, seed):
    rows = make_blobs(n_each=300, n_concepts=10, separation=separation, noise=0.2, paired=0.1, seed=seed)
    consensus = count_consensus(rows.neighbors, rows.given, rows.groups, rows.weights, **{**COUNTING, "n_concepts": 10})
    planted = np.zeros((10, 10))
    np.add.at(planted, (rows.truth, rows.given), 1 / 300)
    transition, prior = fit_noise(consensus, n_steps=1500)
    assert distance(consensus, transition, prior) < distance(consensus, planted, np.full(10, 0.1))
    assert np.diag(transition) == pytest.approx(np.diag(planted), abs=0.12)  # 0.095 at most; another minimum is off by 0.6
    shown = np.array([(rows.truth[rows.given == concept] == concept).mean() for concept in range(10)])
    assert np.diag(error_chances(transition, prior)) == pytest.approx(shown, abs=0.12)


def test_no_step_is_refused():
    with pytest.raises(ValueError, match="n_steps is 0: the fit of noise needs at least 1 step"):
        fit_noise(implied(np.arange(3)), n_steps=0)


@pytest.mark.parametrize("changes", [{"n_rounds": 0}, {"n_slices": 0}, {"share": 0.0}, {"share": 1.1}])
def test_counting_nothing_is_refused(changes):
    rows = make_blobs(n_each=5)
    with pytest.raises(ValueError, match="give 1 or more of both, and a share from above 0 to 1"):
        count_consensus(rows.neighbors, rows.given, rows.groups, rows.weights, **{**COUNTING, **changes})


def test_the_order_of_the_rows_does_not_matter():
    rows = make_blobs(n_each=40)
    order = np.random.default_rng(1).permutation(len(rows.given))
    place = np.argsort(order)
    first = count_consensus(rows.neighbors, rows.given, rows.groups, rows.weights, **COUNTING)
    second = count_consensus(place[rows.neighbors[order]], rows.given[order], rows.groups[order], rows.weights, **COUNTING)
    assert second.third == pytest.approx(first.third, abs=1e-12)


def test_copies_are_passed_over():
    neighbors = np.array([[1, 2, 3, 4], [0, 2, 3, 4], [3, 0, 4, 1], [2, 0, 4, 1], [-1, -1, -1, -1]])
    rows, near, next_near = nearest_two(neighbors, np.array([0, 0, 1, 1, 2]), np.ones(5, bool))
    assert rows.tolist() == [0, 1, 2, 3]
    assert near.tolist() == [2, 2, 0, 0]
    assert next_near.tolist() == [4, 4, 4, 4]
    assert len(nearest_two(neighbors, np.arange(5), np.array([True, True, False, False, False]))[0]) == 0


def test_copies_are_drawn_together_and_evenly():
    drawn = draws(np.arange(10_000), seed=3)
    assert np.histogram(drawn, 10, (0, 1))[0] == pytest.approx(np.full(10, 1000), abs=120)
    assert draws(np.array([7, 7]), seed=1)[0] == draws(np.array([7, 7]), seed=1)[1] != draws(np.array([7]), seed=2)[0]


@pytest.mark.parametrize("n_concepts", [1, 2, 6])
def test_too_little_to_go_by_is_no_noise(n_concepts):
    counting = {**COUNTING, "n_concepts": n_concepts}
    consensus = count_consensus(np.zeros((3, 0), np.int64), np.zeros(3, np.int64), np.arange(3), np.ones(3), **counting)
    transition, prior = fit_noise(consensus, n_steps=10)
    assert transition == pytest.approx(np.eye(n_concepts))
    assert prior == pytest.approx(np.full(n_concepts, 1 / n_concepts))


def test_an_empty_concept_gets_an_answer():
    rows = make_blobs(n_each=60, n_concepts=4)
    consensus = count_consensus(rows.neighbors, rows.given, rows.groups, rows.weights, **COUNTING)
    transition, prior = fit_noise(consensus, n_steps=500)
    assert prior[4] < 0.02
    assert np.diag(transition)[:4].min() > 0.6
