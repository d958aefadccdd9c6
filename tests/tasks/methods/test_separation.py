"""A plane between on- and off-topic blobs, the alternation, and nothing to separate."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tasks.methods.separation import Separation, hyperplane, relabel_weights, separate
from tests.tasks.methods.blobs import make_blobs

SETTINGS = {"n_concepts": 4, "n_rounds": 4, "n_averaged": 2, "sure": 0.95, "min_separation": 1.0, "l2": 0.001, "n_steps": 30}
RELABELS = {"power": 2.0, "min_separation": 1.0}


def clump() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(features, given, off-topic): four concepts and a clump of off-topic images under any of them."""
    rows = make_blobs(n_each=120, n_concepts=5, noise=0.0, seed=1)
    off = rows.truth == 4
    given = np.where(off, np.random.default_rng(0).integers(0, 4, len(off)), rows.truth)
    return rows.embeddings.astype(np.float32), given, off


def test_the_plane_denoises_its_guess():
    features, _, off = clump()
    rng = np.random.default_rng(0)
    guess = np.where(rng.random(len(off)) < 0.2, ~off, off)  # every fifth row on the wrong side
    chance = hyperplane(features, guess, np.ones(len(off)), l2=0.1, n_steps=60)
    assert ((chance > 0.5) == off).mean() > 0.9 > 0.85 > (guess == off).mean()


def test_alternation_finds_a_clump():
    features, given, off = clump()
    found = separate(features, given, np.ones(len(off)), np.arange(len(off)) % 3, **SETTINGS)
    assert roc_auc_score(off, found.noisy) > 0.97
    assert found.clean(0.2)[~off].mean() > 0.9
    assert found.clean(0.2)[off].mean() < 0.2
    assert (found.log_probs.argmax(1) == given)[~off].mean() > 0.95


def test_a_row_is_clean_if_one_detector_says_so():
    found = Separation(np.zeros(3), np.array([0.9, 0.1, 0.9]), np.array([0.9, 0.9, 0.05]), np.zeros((3, 2)))
    assert found.clean(0.2).tolist() == [False, True, True]


def test_rows_of_no_weight_shape_nothing():
    features, given, off = clump()
    idle = np.arange(len(off)) % 5 == 0
    folds, weights = np.where(idle, -1, np.arange(len(off)) % 3), np.where(idle, 0.0, 1.0)
    first = separate(features, given, weights, folds, **SETTINGS)
    second = separate(np.where(idle[:, None], 3.0, features), given, weights, folds, **SETTINGS)
    assert second.log_probs[~idle] == pytest.approx(first.log_probs[~idle], abs=1e-4)


@pytest.mark.parametrize("given", [[0, 1, 0, 1], [0, 0, 0, 0], [-1, -1, -1, -1], [0, -1, -1, 1]])
def test_equal_features_and_missing_concepts_give_answers(given):
    settings = {**SETTINGS, "n_concepts": 2}
    found = separate(np.ones((4, 3), np.float32), np.array(given), np.ones(4), np.arange(4) % 2, **settings)
    assert np.isfinite(found.noisy).all()
    assert found.noisy.max() <= 1


def test_relabels_that_hold_are_trusted():
    rng = np.random.default_rng(0)
    steady, wavering = np.eye(4)[rng.integers(0, 4, 80)] * 0.9 + 0.025, rng.dirichlet([0.3] * 4, (2, 80))
    before, now = np.concatenate([steady, wavering[0], steady]), np.concatenate([steady, wavering[1], steady])
    noisy = np.arange(240) < 160
    trust = relabel_weights(before, now, noisy, np.ones(240), **RELABELS)
    assert trust[160:].tolist() == [1.0] * 80
    assert trust[:80].min() > 0.9 > 0.5 > trust[80:160].mean()
    assert relabel_weights(before, now, np.zeros(240, bool), np.ones(240), **RELABELS).min() == 1


def test_relabels_of_no_weight_move_no_others_trust():
    rng = np.random.default_rng(0)
    steady, wavering = np.eye(4)[rng.integers(0, 4, 80)] * 0.9 + 0.025, rng.dirichlet([0.3] * 4, (2, 80))
    before, now, noisy = np.concatenate([steady, wavering[0]]), np.concatenate([steady, wavering[1]]), np.arange(160) % 10 > 0
    alone = relabel_weights(before, now, noisy, np.ones(160), **RELABELS)
    again = np.repeat(np.flatnonzero(alone < 0.5), 20)  # many copies of what wavers
    rows, weights = np.concatenate([np.arange(160), again]), np.concatenate([np.ones(160), np.zeros(len(again))])
    found = relabel_weights(before[rows], now[rows], noisy[rows], weights, **RELABELS)
    assert found[:160].tolist() == alone.tolist()
    assert found[160:] == pytest.approx(alone[again])  # they stand where their like stand
    counted = relabel_weights(before[rows], now[rows], noisy[rows], np.ones(len(rows)), **RELABELS)
    assert np.abs(counted[:160] - alone).max() > 0.1  # with a weight of their own they would move it


def test_relabels_of_no_weight_alone_are_trusted():
    before, now = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]), np.array([[0.9, 0.1], [0.5, 0.5], [0.9, 0.1]])
    assert relabel_weights(before, now, np.ones(3, bool), np.zeros(3), **RELABELS).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_rounds": 0}, "n_rounds is 0: separation needs at least 1 round"),
        ({"n_averaged": 0}, "n_averaged is 0: average at least the last round"),
    ],
)
def test_no_round_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        separate(np.ones((4, 3)), np.zeros(4, int), np.ones(4), np.zeros(4, int), **{**SETTINGS, **changes})
