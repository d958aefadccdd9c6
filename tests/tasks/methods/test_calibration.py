"""Calibration without labels, against a truth that it is not shown."""

import numpy as np
import pytest

from tasks.methods.calibration import Witness, calibrated, fit_reliability, rising, standard_errors


def test_rising():
    assert rising(np.array([0.1, 0.5, 0.3, 0.9]), np.ones(4)).tolist() == pytest.approx([0.1, 0.4, 0.4, 0.9])
    assert rising(np.array([0.6, 0.0]), np.array([1.0, 3.0])) == pytest.approx([0.15, 0.15])


@pytest.mark.parametrize("noise", [0.1, 0.4])
def test_the_curve_is_found_from_noisy_agreement(noise):
    rng = np.random.default_rng(0)
    probability = rng.random(20000)
    right = rng.random(20000) < probability**2
    agrees = np.where(right, rng.random(20000) < 1 - noise, rng.random(20000) < 0.1)
    curve = fit_reliability(probability, agrees, np.full(20000, 0.1), np.full(20000, 1 - noise), np.ones(20000), n_bins=20)
    asked = np.linspace(0.1, 0.95, 18)
    assert np.abs(curve(asked) - asked**2).max() < 0.06


def test_without_rows_the_curve_is_the_diagonal():
    curve = fit_reliability(np.zeros(0), np.zeros(0, bool), np.zeros(0), np.zeros(0), np.zeros(0), n_bins=5)
    assert curve(np.array([0.0, 0.3, 1.0])) == pytest.approx([0.0, 0.3, 1.0])


def made(n: int = 20000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Witness]:
    """(right, too sure beliefs in two concepts or none, a witness that errs in a fifth of the rows): a hundred rows share a level."""
    rng = np.random.default_rng(seed)
    level = rng.random(n)
    truth = rng.integers(0, 2, n)
    right = rng.random(n) < 0.5 + level / 2
    opinion = np.where(right, truth, 1 - truth)
    sure = 0.5 + level**0.3 / 2
    beliefs = np.zeros((n, 3))
    beliefs[np.arange(n), opinion], beliefs[np.arange(n), 1 - opinion] = sure, 1 - sure
    votes = np.where(rng.random(n) < 0.8, truth, 1 - truth)
    return right, beliefs, Witness(votes, beliefs)


def test_a_witness_takes_from_beliefs_that_are_too_sure():
    right, beliefs, witness = made()
    # The witness' own errors are judged by beliefs that are right on the whole.
    posterior = np.where(right[:, None], beliefs.round(), 1 - beliefs.round()) * [1, 1, 0]
    found = calibrated(beliefs.max(1), posterior, [witness], np.ones(len(right)), n_bins=20)
    assert (found <= beliefs.max(1)).all()

    def gap(chances: np.ndarray) -> float:
        """Expected calibration error."""
        parts = np.array_split(np.argsort(chances), 10)
        return float(np.mean([abs(chances[part].mean() - right[part].mean()) for part in parts]))

    assert gap(beliefs.max(1)) > 0.12
    assert gap(found) < 0.06


def test_each_kind_is_held_against_its_own():
    right, beliefs, witness = made()
    posterior = np.where(right[:, None], beliefs.round(), 1 - beliefs.round()) * [1, 1, 0]
    kinds = (np.arange(len(right)) % 2).astype(int)
    votes = np.where(kinds == 1, -1, witness.votes)  # of the second kind the witness says nothing
    apart = Witness(votes, beliefs, kinds, kinds)
    found = calibrated(beliefs.max(1), posterior, [apart], np.ones(len(right)), n_bins=20)
    assert (found[kinds == 1] == beliefs.max(1)[kinds == 1]).all()
    alone = Witness(votes[kinds == 0], beliefs[kinds == 0])
    expected = calibrated(beliefs.max(1)[kinds == 0], posterior[kinds == 0], [alone], np.ones(int((kinds == 0).sum())), n_bins=20)
    assert found[kinds == 0] == pytest.approx(expected)


def test_a_witness_who_says_nothing_takes_nothing():
    beliefs = np.array([[0.6, 0.3, 0.1]])
    silent = Witness(np.array([-1]), beliefs)
    assert calibrated(beliefs[:, 0], beliefs, [silent], np.ones(1), n_bins=5).tolist() == [0.6]
    assert standard_errors(beliefs[:, 0], beliefs, [silent], np.ones(1), np.zeros(1, int), n_bins=5, n_draws=3, seed=0).tolist() == [0.0]


def test_errors_add_up_to_the_spread_of_the_mean_over_other_samples():
    def mean_and_error(seed: int) -> tuple[float, float]:
        right, beliefs, witness = made(3000, seed)
        posterior = np.where(right[:, None], beliefs.round(), 1 - beliefs.round()) * [1, 1, 0]
        heard = (beliefs.max(1), posterior, [witness], np.ones(len(right)))
        likely = calibrated(*heard, n_bins=10) >= 0.5
        errors = standard_errors(*heard, np.arange(len(right)), n_bins=10, n_draws=40, seed=0)
        return float(calibrated(*heard, n_bins=10)[likely].mean()), float(errors[likely].mean())

    found = [mean_and_error(seed) for seed in range(30)]
    spread = np.std([mean for mean, _ in found])
    assert 0.6 * spread < np.mean([error for _, error in found]) < 1.7 * spread
