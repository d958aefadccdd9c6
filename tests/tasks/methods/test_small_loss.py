"""Splits by loss: who is found, and when nobody is called noisy."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from tasks.methods.small_loss import clean_posterior, fit_two_normals, forget_rate, keep_smallest


def two_modes(n: int = 1000, noisy: float = 0.2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    wrong = np.arange(n) < noisy * n
    return np.where(wrong, generator.normal(3.0, 0.4, n), generator.normal(0.5, 0.3, n)), wrong


def test_two_modes_are_told_apart() -> None:
    losses, wrong = two_modes()
    clean = clean_posterior(losses, min_separation=2.0)
    assert ((clean < 0.5) == wrong).mean() > 0.99
    assert ((clean >= 0) & (clean <= 1)).all()


def test_the_mixture_is_that_of_scikit_learn() -> None:
    values = two_modes()[0]
    values = (values - values.min()) / (values.max() - values.min())
    means, variances, shares = fit_two_normals(values)
    theirs = GaussianMixture(2, reg_covar=5e-4, tol=1e-8, max_iter=500, random_state=0).fit(values[:, None])
    order = np.argsort(theirs.means_[:, 0])
    np.testing.assert_allclose(means, theirs.means_[order, 0], atol=1e-3)
    np.testing.assert_allclose(variances, theirs.covariances_[order, 0, 0], atol=1e-3)
    np.testing.assert_allclose(shares, theirs.weights_[order], atol=5e-3)


def test_one_mode_calls_nobody_noisy() -> None:
    assert (clean_posterior(np.random.default_rng(0).normal(1.0, 0.2, 500), min_separation=2.0) == 1).all()
    assert (clean_posterior(np.ones(20), min_separation=2.0) == 1).all()
    assert (clean_posterior(np.array([3.0]), min_separation=2.0) == 1).all()


def test_how_far_apart_modes_must_be_is_asked_for() -> None:
    generator = np.random.default_rng(0)
    losses = np.concatenate([generator.normal(0.5, 0.2, 800), generator.normal(1.3, 0.6, 200)])
    assert (clean_posterior(losses, min_separation=2.0) == 1).all()
    found = clean_posterior(losses, min_separation=1.0) < 0.5
    assert found[800:].mean() > 0.6
    assert found[:800].mean() < 0.05


def test_one_wild_loss_does_not_set_the_scale() -> None:
    losses, wrong = two_modes()
    losses[-1] = 1e6
    assert ((clean_posterior(losses, min_separation=2.0) < 0.5) == wrong).mean() > 0.99


def test_a_hard_concept_is_split_for_itself() -> None:
    easy, wrong = two_modes(600)
    classes = np.repeat([0, 1], 600)
    losses = np.concatenate([easy, easy + 2.5])
    noisy = clean_posterior(losses, classes, min_separation=2.0) < 0.5
    assert (noisy == np.tile(wrong, 2)).mean() > 0.99
    assert (clean_posterior(losses, min_separation=2.0) < 0.5)[600:].mean() > 0.7  # all together the hard concept is called noise


def test_small_concepts_are_split_with_all_others() -> None:
    losses, _ = two_modes(200)
    classes = np.where(np.arange(200) % 50 == 0, 1, 0)
    np.testing.assert_allclose(
        clean_posterior(losses, classes, min_separation=2.0)[classes == 1], clean_posterior(losses, min_separation=2.0)[classes == 1]
    )


def test_losses_do_not_depend_on_their_order() -> None:
    losses, _ = two_modes(300)
    order = np.random.default_rng(1).permutation(300)
    np.testing.assert_allclose(
        clean_posterior(losses[order], min_separation=2.0), clean_posterior(losses, min_separation=2.0)[order], atol=1e-9
    )


def test_a_row_below_the_lower_mean_is_never_noisy() -> None:
    generator = np.random.default_rng(0)
    losses = np.concatenate([generator.normal(0.5, 0.01, 500), generator.normal(0.9, 0.15, 500)])
    assert clean_posterior(losses, min_separation=2.0)[losses < 0.45].min(initial=1.0) == 1.0


def test_losses_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 3 losses are no numbers: split them only after every row was seen"):
        clean_posterior(np.array([0.0, np.nan, 1.0]), min_separation=2.0)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([0, -1, 0], "class -1 is none: number classes from 0, and leave rows without one out"),
        ([0, 0], r"classes of shape \(2,\) for losses of shape \(3,\): give one class per loss"),
    ],
)
def test_classes_that_do_not_belong_to_the_losses_are_refused(classes, message) -> None:
    with pytest.raises(ValueError, match=message):
        clean_posterior(np.array([0.0, 0.5, 1.0]), np.array(classes), min_separation=2.0)


def test_the_smallest_share_is_kept_ties_by_place() -> None:
    np.testing.assert_array_equal(keep_smallest(np.array([3.0, 1.0, 2.0, 1.0]), 0.5), [False, True, False, True])
    np.testing.assert_array_equal(keep_smallest(np.array([1.0, 1.0, 1.0]), 0.34), [True, False, False])
    assert keep_smallest(np.array([5.0, 6.0]), 0.0).sum() == 1


def test_the_forget_rate_rises_in_a_line() -> None:
    assert [forget_rate(epoch, rate=0.2, ramp_epochs=10) for epoch in (0, 5, 10, 50)] == pytest.approx([0, 0.1, 0.2, 0.2])
    assert forget_rate(0, rate=0.3, ramp_epochs=0) == 0.3
