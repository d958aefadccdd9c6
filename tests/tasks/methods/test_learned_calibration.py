"""Verdicts of people, made up: what they teach, and when nothing is learned."""

import numpy as np
import pytest

from tasks.methods.learned_calibration import judged_right, learned_chances, log_loss, of_shaping

SETTINGS = {"min_verdicts": 200, "n_folds": 5, "n_bins": 10, "l2": 0.01, "n_steps": 60, "n_draws": 4, "seed": 0}


def rows(n: int = 3000, n_judged: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(signals, before, right, truth): two honest signals and one of noise; the machine's own chance is far too sure."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.6
    strength = rng.normal(np.where(truth, 1.0, -1.0)[:, None], 1.5, (n, 2))
    signals = np.column_stack([1 / (1 + np.exp(-strength)), rng.random(n)])
    signals[rng.random(n) < 0.1, 0] = np.nan
    before = 1 / (1 + np.exp(-4 * strength.sum(1)))
    right = np.where(np.arange(n) < n_judged, truth, np.nan)
    return signals, before, right, truth


def test_verdicts_against_suggestions():
    found = judged_right(["confirmed", "corrected", "dropped", None], ["cat", "dog", None, None], ["cat", "cat", "cat", "cat"])
    assert found[:3].tolist() == [1, 0, 0]
    assert np.isnan(found[3])


def test_four_hundred_verdicts_calibrate_the_rest():
    signals, before, right, truth = rows()
    learned = learned_chances(signals, before, right, np.arange(len(truth)), np.ones(len(truth)), **SETTINGS)
    rest = np.isnan(right)
    assert learned.log_loss < learned.before_log_loss
    assert log_loss(learned.chances[rest], truth[rest]) < 0.6 * log_loss(before[rest], truth[rest])
    bins = np.minimum((learned.chances[rest] * 10).astype(int), 9)
    gaps = [abs(learned.chances[rest][bins == b].mean() - truth[rest][bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    assert sum(gaps) < 0.05
    assert 0 <= learned.chances.min() <= learned.chances.max() <= 1


def test_a_reviewed_row_is_judged_by_a_fit_that_never_saw_it():
    signals, before, right, _ = rows()
    groups = np.arange(len(right))
    first = learned_chances(signals, before, right, groups, np.ones(len(right)), **SETTINGS)
    turned = right.copy()
    turned[7] = 1 - right[7]
    second = learned_chances(signals, before, turned, groups, np.ones(len(right)), **SETTINGS)
    assert second.chances[7] == pytest.approx(first.chances[7], abs=1e-9)
    assert (second.chances != first.chances).any()


def test_copies_are_never_parted():
    signals, before, right, _ = rows(n_judged=3000)
    groups, weights = np.arange(3000) // 2, (np.arange(3000) + 1) % 2
    turned = right.copy()
    turned[10] = 1 - right[10]
    first, second = (learned_chances(signals, before, values, groups, weights, **SETTINGS) for values in (right, turned))
    assert second.chances[11] == pytest.approx(first.chances[11], abs=1e-9)  # the copy beside the row that taught


def test_rows_without_weight_teach_nothing():
    signals, before, right, _ = rows()
    weights = (np.arange(3000) >= 100).astype(float)
    turned = np.where(weights == 0, 1 - right, right)
    signals_of_copies = np.where(weights[:, None] == 0, 0.9, signals)
    first = learned_chances(signals, before, right, np.arange(3000), weights, **SETTINGS)
    second = learned_chances(signals_of_copies, before, turned, np.arange(3000), weights, **SETTINGS)
    for ours, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours[100:] if np.ndim(ours) else ours, theirs[100:] if np.ndim(theirs) else theirs)


def test_what_was_said_of_a_copy_counts_for_the_row_that_shapes():
    right = np.array([np.nan, 1.0, 0.0, np.nan, 0.0, 1.0, np.nan])
    groups, weights = np.array([0, 0, 0, 1, 1, 2, 3]), np.array([1, 0, 0, 1, 0, 0, 1.0])
    suggested = ["cat", "cat", "cat", "cat", "dog", "cat", "cat"]
    told = of_shaping(right, suggested, groups, weights)
    assert told[0] == 1.0  # the first of the copies
    assert np.isnan(told[1:]).all()  # copies themselves, another suggestion, a group without a row of weight, nobody's word


def test_errors_say_how_far_a_mean_of_chances_is_off():
    """The mean over the likely rows of fits to other verdicts spreads as the errors say, and less with more verdicts."""
    told, spread = {}, {}
    for n in (250, 1500):
        signals, before, _, truth = rows()
        likely, means, errors = before >= 0.5, [], []
        for draw in range(12):
            some = np.random.default_rng(draw).choice(3000, n, replace=False)
            right = np.full(3000, np.nan)
            right[some] = truth[some]
            learned = learned_chances(signals, before, right, np.arange(3000), np.ones(3000), **SETTINGS | {"n_draws": 12})
            means.append(learned.chances[likely].mean())
            errors.append(learned.errors[likely].mean())
        told[n], spread[n] = np.mean(errors), np.std(means)
    assert told[1500] < 0.7 * told[250]
    assert 0.5 < told[250] / spread[250] < 2


@pytest.mark.parametrize("n_judged", [0, 1, 199])
def test_few_verdicts_teach_nothing(n_judged):
    signals, before, right, _ = rows(n_judged=n_judged)
    assert learned_chances(signals, before, right, np.arange(len(right)), np.ones(len(right)), **SETTINGS) is None


def test_verdicts_of_one_kind_teach_nothing():
    signals, before, right, _ = rows()
    right = np.where(np.isnan(right), np.nan, 1.0)
    assert learned_chances(signals, before, right, np.arange(len(right)), np.ones(len(right)), **SETTINGS) is None


def test_what_is_calibrated_already_stays():
    rng = np.random.default_rng(1)
    before = rng.random(2000)
    right = np.where(np.arange(2000) < 250, rng.random(2000) < before, np.nan)
    assert learned_chances(rng.random((2000, 6)), before, right, np.arange(2000), np.ones(2000), **SETTINGS) is None


def test_what_no_reviewed_row_resembles_keeps_the_machines_chance():
    signals, before, right, _ = rows()
    right = np.where((before > 0.2) & (before < 0.8), np.where(np.isnan(right), 1.0, right), np.nan)
    right[np.flatnonzero(~np.isnan(right))[::2]] = 0.0
    learned = learned_chances(signals, before, right, np.arange(len(right)), np.ones(len(right)), **SETTINGS | {"min_verdicts": 50})
    beyond = (before <= 0.1) | (before >= 0.9)
    assert (learned.chances[beyond] == before[beyond]).all()
    assert not learned.within[beyond].any()
    assert learned.within.any()
