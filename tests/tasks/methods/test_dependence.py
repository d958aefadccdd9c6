"""Signals that repeat each other, and what a third one says of it."""

import numpy as np
import pytest

from tasks.methods.dependence import discount


def signals(repeated: float, n: int = 20_000, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Chances by a first signal; likelihoods of a second that repeats the first in a share of the rows, and of a third."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)

    def word() -> np.ndarray:
        return np.where(rng.random(n) < 0.7, truth, rng.integers(0, 3, n))

    first, second, third = word(), word(), word()
    second = np.where(rng.random(n) < repeated, first, second)
    likelihood = 0.1 + 0.7 * np.eye(3)
    return likelihood[first], likelihood[second], likelihood[third]


def test_a_signal_of_its_own_counts_in_full():
    assert discount(*signals(0.0), np.ones(20_000)) == pytest.approx(1.0, abs=0.06)


def test_the_more_it_repeats_the_less_it_counts():
    found = [discount(*signals(share), np.ones(20_000)) for share in (0.0, 0.5, 1.0)]
    assert found[0] > found[1] > found[2]
    assert 0.5 < found[1] < 0.9
    assert found[2] == pytest.approx(0.0, abs=0.01)


def test_a_witness_that_says_nothing_changes_nothing():
    chances, likelihood, _ = signals(1.0, n=50)
    assert discount(chances, likelihood, np.ones((50, 3)), np.ones(50)) == 1.0
    assert discount(chances, likelihood, likelihood, np.zeros(50)) == 1.0


def test_rows_of_no_weight_count_nothing():
    ours, theirs = signals(0.0, n=500), signals(1.0, n=500, seed=1)
    both = [np.concatenate(pair) for pair in zip(ours, theirs, strict=True)]
    assert discount(*both, np.repeat([1.0, 0.0], 500)) == pytest.approx(discount(*ours, np.ones(500)), abs=1e-3)
