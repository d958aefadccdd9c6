"""Calibration without labels, against a truth that it is not shown."""

import numpy as np
import pytest

from tasks.methods.calibration import calibrated, fit_reliability, rising


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


def test_without_given_concepts_the_posterior_stays():
    posterior = np.array([[0.6, 0.3, 0.1]])
    transition = np.array([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]])
    found = calibrated(posterior, posterior, np.array([-1]), transition, np.ones(1), n_bins=5, share=0.5)
    assert found.tolist() == [[0.6, 0.3]]
