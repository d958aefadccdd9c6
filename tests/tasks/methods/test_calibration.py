"""Calibration without labels, against a truth that it is not shown."""

import numpy as np
import pytest

from tasks.methods.calibration import Heard, Witness, calibrated, fit_reliability, rising, scale, standard_errors


def test_rising():
    assert rising(np.array([0.1, 0.5, 0.3, 0.9]), np.ones(4)).tolist() == pytest.approx([0.1, 0.4, 0.4, 0.9])
    assert rising(np.array([0.6, 0.0]), np.array([1.0, 3.0])) == pytest.approx([0.15, 0.15])


def heard_of(probability: np.ndarray, right: np.ndarray, noise: float, sure: float) -> Heard:
    """Of a witness that agrees with right opinions but for `noise`, with wrong ones by chance; it is thought to do so by `sure`."""
    n, rng = len(right), np.random.default_rng(1)
    agrees = np.where(right, rng.random(n) < 1 - noise, rng.random(n) < 0.1)
    return Heard(probability, agrees, np.full(n, 0.1), np.full(n, sure), np.ones(n))


@pytest.mark.parametrize("noise", [0.1, 0.4])
def test_the_curve_is_found_from_noisy_agreement(noise):
    rng = np.random.default_rng(0)
    probability = rng.random(20000)
    right = rng.random(20000) < probability**2
    curve = fit_reliability(heard_of(probability, right, noise, 1 - noise), np.ones(20000), n_bins=20)
    asked = np.linspace(0.1, 0.95, 18)
    assert np.abs(curve(asked) - asked**2).max() < 0.06


def test_opinions_that_are_sure_of_themselves_set_the_scale():
    """What right opinions agree by was judged by beliefs that were wrong now and then, and came out a tenth too low."""
    rng = np.random.default_rng(0)
    probability = rng.random(40000) ** 0.2
    right = rng.random(40000) < np.where(probability > 0.98, 1.0, probability**2)
    heard = heard_of(probability, right, 0.1, 0.81)
    assert scale(heard) == pytest.approx((0.9 - 0.1) / (0.81 - 0.1), rel=0.02)
    asked = np.linspace(0.5, 0.95, 10)
    assert np.abs(fit_reliability(heard, np.ones(40000), n_bins=40)(asked) - asked**2).max() < 0.05
    modest = heard._replace(probability=np.minimum(probability, 0.97))
    assert scale(modest) == 1.0  # nobody is sure: nothing to go by
    assert scale(heard_of(probability, right, 0.1, 0.99)) == 1.0  # agreement can only be more than was thought


def test_without_rows_the_curve_is_the_diagonal():
    nothing = Heard(np.zeros(0), np.zeros(0, bool), np.zeros(0), np.zeros(0), np.zeros(0))
    curve = fit_reliability(nothing, np.zeros(0), n_bins=5)
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


def gap(chances: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error."""
    parts = np.array_split(np.argsort(chances), 10)
    return float(np.mean([abs(chances[part].mean() - right[part].mean()) for part in parts]))


def test_a_witness_takes_from_beliefs_that_are_too_sure():
    right, beliefs, witness = made()
    found = calibrated(beliefs.argmax(1), beliefs, [witness], np.ones(len(right)), n_bins=20)
    assert (found <= beliefs.max(1) + 1e-9).all()
    assert gap(beliefs.max(1), right) > 0.12
    assert gap(found, right) < 0.08


def test_what_the_opinions_without_a_witness_were_too_sure_is_taken_from_the_beliefs_in_log_odds():
    right, opinions, witness = made()
    posterior = opinions**2 / (opinions**2).sum(1, keepdims=True)  # surer still
    suggested = opinions.argmax(1)
    alone = calibrated(suggested, opinions, [witness], np.ones(len(right)), n_bins=20)
    found = calibrated(suggested, posterior, [witness._replace(opinions=opinions)], np.ones(len(right)), n_bins=20)
    inside = (opinions.max(1) > 0.6) & (opinions.max(1) < 0.99)

    def odds(chances: np.ndarray) -> np.ndarray:
        return np.log(chances / (1 - chances))[inside]

    taken = odds(opinions.max(1)) - odds(alone)
    assert odds(posterior.max(1)) - odds(found) == pytest.approx(taken, abs=0.35)  # the witness is judged by other beliefs


def test_a_witness_for_another_sense_is_no_witness_for_the_concept():
    """Images of another sense come under the concept's word as often as its own do: agreement with the given concept says nothing then."""
    n, rng = 6000, np.random.default_rng(0)
    truth = rng.choice(3, n, p=[0.3, 0.4, 0.3])  # concept, other concept, other sense of the first word
    given = np.where(truth == 2, 0, truth)
    posterior = np.eye(4)[np.where(truth == 2, 2, truth)] * 0.97 + 0.01
    opinions = np.full((n, 4), 0.01)
    opinions[np.arange(n), np.where(truth == 2, 0, truth)] = 0.97  # the image alone takes the other sense for the concept
    told = calibrated(np.where(truth == 1, 1, 0), posterior, [Witness(given, opinions)], np.ones(n), n_bins=20, senses=np.array([0]))
    assert told[truth == 1].mean() > 0.9
    assert told[truth == 2].max() < 0.05


def test_each_kind_is_held_against_its_own():
    right, beliefs, witness = made()
    kinds = (np.arange(len(right)) % 2).astype(int)
    votes = np.where(kinds == 1, -1, witness.votes)  # of the second kind the witness says nothing
    apart = Witness(votes, beliefs, kinds, kinds)
    found = calibrated(beliefs.argmax(1), beliefs, [apart], np.ones(len(right)), n_bins=20)
    assert found[kinds == 1] == pytest.approx(np.clip(beliefs.max(1)[kinds == 1], 1e-5, 1 - 1e-5))
    first = kinds == 0
    alone = Witness(votes[first], beliefs[first])
    expected = calibrated(beliefs.argmax(1)[first], beliefs[first], [alone], np.ones(int(first.sum())), n_bins=20)
    assert found[first] == pytest.approx(expected)


def test_a_witness_who_says_nothing_takes_nothing():
    beliefs = np.array([[0.6, 0.3, 0.1]])
    silent, first = Witness(np.array([-1]), beliefs), np.array([0])
    assert calibrated(first, beliefs, [silent], np.ones(1), n_bins=5) == pytest.approx([0.6])
    assert standard_errors(first, beliefs, [silent], np.ones(1), np.zeros(1, int), n_bins=5, n_draws=3, seed=0).tolist() == [0.0]


def test_errors_add_up_to_the_spread_of_the_mean_over_other_samples():
    def mean_and_error(seed: int) -> tuple[float, float]:
        right, beliefs, witness = made(3000, seed)
        heard = (beliefs.argmax(1), beliefs, [witness], np.ones(len(right)))
        found = calibrated(*heard, n_bins=10)
        errors = standard_errors(*heard, np.arange(len(right)), n_bins=10, n_draws=40, seed=0)
        return float(found[found >= 0.5].mean()), float(errors[found >= 0.5].mean())

    found = [mean_and_error(seed) for seed in range(30)]
    spread = np.std([mean for mean, _ in found])
    assert 0.6 * spread < np.mean([error for _, error in found]) < 1.7 * spread
