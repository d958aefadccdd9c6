"""Singular values: one direction, even directions, and features of nothing."""

import math

import numpy as np
import pytest

from tasks.methods.spectra import largest_singular_value_ratio, singular_value_entropy


def test_one_direction_has_no_entropy() -> None:
    features = np.outer(np.arange(1, 6), [1.0, 2.0, 3.0])
    assert singular_value_entropy(features) == pytest.approx(0.0, abs=1e-6)
    assert largest_singular_value_ratio(features) == pytest.approx(0.0, abs=1e-6)


def test_even_directions_have_the_most() -> None:
    assert singular_value_entropy(5 * np.eye(4)) == pytest.approx(math.log(4))
    assert largest_singular_value_ratio(5 * np.eye(4)) == pytest.approx(math.log(4))


def test_worked_example() -> None:
    assert singular_value_entropy(np.diag([3.0, 1.0])) == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert largest_singular_value_ratio(np.diag([3.0, 1.0])) == pytest.approx(-math.log(0.75))


def test_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="features are all 0"):
        singular_value_entropy(np.zeros((3, 2)))
