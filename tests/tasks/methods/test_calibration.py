"""Calibration without labels, against a truth that it is not shown."""

import numpy as np
import pytest

from tasks.methods.calibration import Bins, Heard, Witness, calibrated, fit_reliability, rising, scale, standard_errors, witnessed


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
    curve = fit_reliability(heard_of(probability, right, noise, 1 - noise), np.ones(20000), Bins(20, 1))
    asked = np.linspace(0.1, 0.95, 18)
    assert np.abs(curve(asked) - asked**2).max() < 0.06


def test_opinions_that_are_sure_of_themselves_set_the_scale():
    """What right opinions agree by was judged by beliefs that were wrong now and then, and came out a tenth too low."""
    rng = np.random.default_rng(0)
    probability = rng.random(40000) ** 0.2
    right = rng.random(40000) < np.where(probability > 0.98, 1.0, probability**2)
    heard = heard_of(probability, right, 0.1, 0.81)
    assert scale(heard) == pytest.approx((0.9 - 0.1) / (0.81 - 0.1), rel=0.02)
    asked = np.linspace(0.5, 0.9, 10)
    assert np.abs(fit_reliability(heard, np.ones(40000), Bins(40, 1))(asked) - asked**2).max() < 0.05
    modest = heard._replace(probability=np.minimum(probability, 0.94))
    assert scale(modest) == 1.0  # nobody is sure: nothing to go by
    assert scale(heard_of(probability, right, 0.1, 0.99)) == 1.0  # agreement can only be more than was thought


def test_without_rows_the_curve_is_the_diagonal():
    nothing = Heard(np.zeros(0), np.zeros(0, bool), np.zeros(0), np.zeros(0), np.zeros(0))
    curve = fit_reliability(nothing, np.zeros(0), Bins(5, 1))
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
    found = calibrated(beliefs.max(1), beliefs, [witness], np.ones(len(right)), bins=Bins(20, 1))
    assert (found <= beliefs.max(1) + 1e-9).all()
    assert gap(beliefs.max(1), right) > 0.12
    assert gap(found, right) < 0.08


def test_of_two_witnesses_the_sterner_one_counts_and_not_both():
    right, beliefs, witness = made()
    strict = witness._replace(opinions=np.clip(beliefs**0.5, 0, 1))  # opinions that claim more agree no oftener
    alone, both = (
        calibrated(beliefs.max(1), beliefs, heard, np.ones(len(right)), bins=Bins(20, 1)) for heard in ([strict], [witness, strict, strict])
    )
    first = calibrated(beliefs.max(1), beliefs, [witness], np.ones(len(right)), bins=Bins(20, 1))
    assert both == pytest.approx(np.minimum(first, alone))


def test_bins_hold_enough_rows():
    assert [Bins(20, 300).number(n) for n in (0, 299, 700, 3100, 6000, 90_000)] == [2, 2, 2, 10, 20, 20]
    right, beliefs, witness = made(400)
    few, many = (calibrated(beliefs.max(1), beliefs, [witness], np.ones(400), bins=bins).mean() for bins in (Bins(20, 100), Bins(20, 1)))
    assert abs(few - right.mean()) < abs(many - right.mean())


def test_a_witness_for_another_sense_is_no_witness_for_the_concept():
    """Images of another sense come under the concept's word as often as its own do: agreement with the given concept says nothing then."""
    n, rng = 6000, np.random.default_rng(0)
    truth = rng.choice(3, n, p=[0.3, 0.4, 0.3])  # concept, other concept, other sense of the first word
    given = np.where(truth == 2, 0, truth)
    posterior = np.eye(4)[np.where(truth == 2, 2, truth)] * 0.97 + 0.01
    opinions = np.full((n, 4), 0.01)
    opinions[np.arange(n), np.where(truth == 2, 0, truth)] = 0.97  # the image alone takes the other sense for the concept
    told = calibrated(
        posterior[np.arange(n), np.where(truth == 1, 1, 0)],
        posterior,
        [Witness(given, opinions)],
        np.ones(n),
        bins=Bins(20, 1),
        senses=np.array([0]),
    )
    assert told[truth == 1].mean() > 0.9
    assert told[truth == 2].max() < 0.05


def test_each_kind_is_held_against_its_own():
    right, beliefs, witness = made()
    kinds = (np.arange(len(right)) % 2).astype(int)
    votes = np.where(kinds == 1, -1, witness.votes)  # of the second kind the witness says nothing
    apart = Witness(votes, beliefs, kinds, kinds)
    found = calibrated(beliefs.max(1), beliefs, [apart], np.ones(len(right)), bins=Bins(20, 1))
    assert (found[kinds == 1] == beliefs.max(1)[kinds == 1]).all()
    first = kinds == 0
    alone = Witness(votes[first], beliefs[first])
    expected = calibrated(beliefs.max(1)[first], beliefs[first], [alone], np.ones(int(first.sum())), bins=Bins(20, 1))
    assert found[first] == pytest.approx(expected)


def test_a_witness_who_says_nothing_takes_nothing():
    beliefs = np.array([[0.6, 0.3, 0.1]])
    silent = Witness(np.array([-1]), beliefs)
    assert calibrated(beliefs[:, 0], beliefs, [silent], np.ones(1), bins=Bins(5, 1)) == pytest.approx([0.6])
    assert standard_errors(beliefs[:, 0], beliefs, [silent], np.ones(1), np.zeros(1, int), bins=Bins(5, 1), n_draws=3, seed=0).tolist() == [
        0.0
    ]


def test_witnesses_who_differ_make_the_mean_uncertain_by_half_of_their_difference():
    right, beliefs, witness = made()
    strict = witness._replace(opinions=np.clip(beliefs**0.5, 0, 1))
    own = np.arange(len(right))

    def error(*witnesses: Witness) -> float:
        heard = (beliefs.max(1), beliefs, witnesses, np.ones(len(right)))
        likely = calibrated(*heard, bins=Bins(20, 300)) >= 0.5
        return float(standard_errors(*heard, own, bins=Bins(20, 300), n_draws=20, seed=0)[likely].mean())

    told = witnessed(beliefs.max(1), beliefs, [witness, strict], np.ones(len(right)), bins=Bins(20, 300))
    apart = abs(float((told[0] - told[1])[told.min(0) >= 0.5].mean())) / 2
    assert apart > 3 * error(witness)  # so that chance has little part in what follows
    assert error(witness, strict) == pytest.approx(apart, rel=0.1)
    assert error(witness, witness) == pytest.approx(error(witness))


def test_errors_add_up_to_the_spread_of_the_mean_over_other_samples():
    def mean_and_error(seed: int) -> tuple[float, float]:
        right, beliefs, witness = made(3000, seed)
        heard = (beliefs.max(1), beliefs, [witness], np.ones(len(right)))
        found = calibrated(*heard, bins=Bins(10, 1))
        errors = standard_errors(*heard, np.arange(len(right)), bins=Bins(10, 1), n_draws=40, seed=0)
        return float(found[found >= 0.5].mean()), float(errors[found >= 0.5].mean())

    found = [mean_and_error(seed) for seed in range(30)]
    spread = np.std([mean for mean, _ in found])
    assert 0.6 * spread < np.mean([error for _, error in found]) < 1.7 * spread
