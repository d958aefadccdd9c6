"""The probe against an independent solver, its gradient against finite differences, and its choice of penalty."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from tasks.methods.linear_probe import _loss, fit, linear_probe


def clouds(n: int, d: int = 8, k: int = 3, spread: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    classes = np.arange(n) % k
    centres = np.random.default_rng(99).normal(size=(k, d)) * 1.5
    return (centres[classes] + generator.normal(size=(n, d)) * spread).astype(np.float32), classes


def test_coefficients_agree_with_another_solver_in_float64() -> None:
    from sklearn.linear_model import LogisticRegression

    features, classes = clouds(150, spread=2.0)
    penalty = 0.01
    probe = fit(features, classes, penalty=penalty, max_iterations=500)
    standardised = (features.astype(np.float64) - probe.mean) / probe.spread
    other = LogisticRegression(C=1 / (penalty * len(features)), tol=1e-10, max_iter=5000).fit(standardised, classes)
    np.testing.assert_allclose(probe.coefficients[:-1], other.coef_.T, atol=2e-4)
    assert probe.gradient < 1e-5


def test_gradient_agrees_with_finite_differences() -> None:
    generator = np.random.default_rng(0)
    x, given = generator.normal(size=(6, 4)), np.eye(3)[[0, 1, 2, 0, 1, 2]]
    start = generator.normal(size=12)
    error = check_grad(
        lambda flat: _loss(flat.reshape(4, 3), x, given, 0.3)[0], lambda flat: _loss(flat.reshape(4, 3), x, given, 0.3)[1], start
    )
    assert error < 1e-6


def test_the_penalty_is_chosen_on_held_out_rows() -> None:
    train, classes = clouds(120, d=60, spread=3.0)
    test, truth = clouds(600, d=60, spread=3.0, seed=1)
    chosen = linear_probe(train, classes, test, truth, penalties=[1e-6, 1e-3, 0.1, 1.0], held_out_share=0.3, max_iterations=200, seed=0)
    assert set(chosen.held_out) == {1e-6, 1e-3, 0.1, 1.0}
    assert chosen.penalty == max(chosen.held_out, key=lambda penalty: (chosen.held_out[penalty], penalty))
    assert chosen.accuracy > 0.9
    shuffled = np.random.default_rng(0).permutation(classes)
    chance = linear_probe(train, shuffled, test, truth, penalties=[1.0], held_out_share=0.3, max_iterations=200, seed=0)
    assert chance.accuracy < 0.65


def test_untrained_and_single_classes_are_refused() -> None:
    features = np.zeros((2, 3), np.float32)
    how = {"penalties": [1.0], "held_out_share": 0.5, "max_iterations": 5, "seed": 0}
    with pytest.raises(ValueError, match=r"classes \[7\] are tested but have no training row: give the probe training pictures of each"):
        linear_probe(features, np.array([0, 1]), features, np.array([0, 7]), **how)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="every class has a single training row, none can be held out"):
        linear_probe(features, np.array([0, 1]), features, np.array([0, 1]), **how)  # type: ignore[arg-type]
