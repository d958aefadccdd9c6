"""Distributions of concepts by worked examples, and recovered from rows that are polluted or few."""

import numpy as np
import pytest

from tasks.methods.class_gaussians import borrowed, inliers, lacking, outlier_factors, recover


def test_outlier_factors_of_the_worked_example() -> None:
    # Nearest: 1, 0, 1, 3; reach 1, 1, 2, 7; densities 1, 1, 1/2, 1/7.
    rows = np.array([[0.0], [1.0], [3.0], [10.0]])
    np.testing.assert_allclose(outlier_factors(rows, 1), [1.0, 1.0, 2.0, 3.5])
    np.testing.assert_allclose(outlier_factors(rows + 1e6, 1), [1.0, 1.0, 2.0, 3.5], rtol=1e-6)
    assert inliers(rows, 0.25).tolist() == [True, True, True, False]
    assert inliers(rows, 0.24).all()


def test_copies_and_single_rows_have_factors_too() -> None:
    found = outlier_factors(np.array([[0.0], [0.0], [0.0], [1.0]]), 2)
    assert np.isfinite(found).all()
    assert found.argmax() == 3
    assert inliers(np.zeros((1, 3)), 0.9).tolist() == [True]


def test_a_distribution_of_the_worked_example() -> None:
    # Variances 1 and 9, pooled 5; two rows of one dimension keep half of their own: 3 and 7; half a mean variance is added.
    found = recover(
        np.array([[0.0], [2.0], [10.0], [16.0]]), np.array([0, 0, 2, 2]), 3, outlier_share=0.0, head_rows=1, n_heads=1, spread=0.5
    )
    assert found.counts.tolist() == [2, 0, 2]
    np.testing.assert_allclose(found.means[:, 0], [1.0, 0.0, 13.0])
    np.testing.assert_allclose(found.covariances[:, 0, 0], [5.5, 0.0, 9.5])


def test_a_small_concept_borrows_from_the_nearest_large_ones() -> None:
    means = np.array([[0.0, 0.0], [10.0, 0.0], [8.0, 0.0], [0.0, 0.0]])
    covariances = np.array([1.0, 2.0, 4.0, 0.0])[:, None, None] * np.eye(2)
    counts = np.array([200, 100, 50, 0])
    one, spread = borrowed(means, covariances, counts, head_rows=100, n_heads=1)
    np.testing.assert_allclose(one[2], [0.75 * 8 + 0.25 * 10, 0.0])  # keeps 1/2 + 50/200
    np.testing.assert_allclose(spread[2], (0.75 * 4 + 0.25 * 2) * np.eye(2))
    np.testing.assert_array_equal(one[[0, 1, 3]], means[[0, 1, 3]])
    both, spread = borrowed(means, covariances, counts, head_rows=100, n_heads=5)
    np.testing.assert_allclose(both[2], [0.75 * 8 + 0.25 * (2 / 3 * 0 + 1 / 3 * 10), 0.0])
    np.testing.assert_allclose(spread[2], (0.75 * 4 + 0.25 * (2 / 3 * 1 + 1 / 3 * 2)) * np.eye(2))
    for how in ({"head_rows": 1000, "n_heads": 3}, {"head_rows": 100, "n_heads": 0}):
        np.testing.assert_array_equal(borrowed(means, covariances, counts, **how)[0], means)


SHAPE = np.diag([3.0, 1.0, 0.3])


def error(covariance: np.ndarray) -> float:
    return float(np.linalg.norm(covariance - SHAPE**2))


def test_stray_rows_are_left_out() -> None:
    generator = np.random.default_rng(0)
    features = np.vstack([generator.normal(0, 1, (400, 3)) @ SHAPE, generator.uniform(-12, 12, (60, 3))])
    how = {"head_rows": 100, "n_heads": 2, "spread": 1e-6}
    every, found = (recover(features, np.zeros(460, np.int64), 1, outlier_share=share, **how) for share in (0.0, 0.2))  # type: ignore[arg-type]
    assert found.counts.tolist() == [368]
    assert error(found.covariances[0]) < 0.3 * error(every.covariances[0])


def test_rare_concepts_come_nearer_to_their_true_covariance() -> None:
    generator = np.random.default_rng(0)
    centres = np.array([0.0, 6.0, *range(20, 220, 20)])  # two large concepts of the same shape, ten small ones
    classes = np.repeat(np.arange(12), [400, 400, *[6] * 10])
    features = generator.normal(0, 1, (860, 3)) @ SHAPE + centres[classes][:, None]
    how = {"outlier_share": 0.0, "head_rows": 100, "spread": 1e-6}
    alone, found = (recover(features, classes, 12, n_heads=n, **how) for n in (0, 2))  # type: ignore[arg-type]
    assert sum(map(error, found.covariances[2:])) < 0.8 * sum(map(error, alone.covariances[2:]))
    assert max(map(error, found.covariances[:2])) < 2.0


def test_draws_even_out_the_counts() -> None:
    np.testing.assert_allclose(lacking(np.array([90, 10]), 0.5), [0.1, 0.9])  # 0.45 + 0.05 and 0.05 + 0.45
    np.testing.assert_allclose(lacking(np.array([99, 1, 0]), 0.2), [0.0, 1.0, 0.0])
    np.testing.assert_allclose(lacking(np.array([5, 5, 0]), 0.0), [0.5, 0.5, 0.0])


def test_features_that_tell_nothing_are_refused() -> None:
    how = {"outlier_share": 0.0, "head_rows": 1, "n_heads": 0, "spread": 0.1}
    with pytest.raises(ValueError, match="features are no numbers: the network that they come from has diverged"):
        recover(np.array([[np.nan], [0.0]]), np.array([0, 0]), 1, **how)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="features of all rows of a concept are the same: start from a network that tells pictures apart"):
        recover(np.ones((4, 2)), np.array([0, 0, 1, 1]), 2, **how)  # type: ignore[arg-type]
