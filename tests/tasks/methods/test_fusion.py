"""Fusion of networks, concepts and texts: its parts by hand, the whole on a made crawl with known truth."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.methods.fusion import FusionSettings, fuse, gather, word_chances
from tasks.methods.networks import FoldOutput
from tasks.methods.text_evidence import Texts, WordModel, read_texts

SETTINGS = FusionSettings(
    n_rounds=2, n_steps=8, transition_strength=20, smoothing=2, first_empty_share=0.3, l2=1e-2, probe_steps=30, n_subfolds=2
)  # fmt: skip
NO_WORDS = np.zeros((0, 0), np.float32)


def output(rows: np.ndarray, log_probs: np.ndarray, features: np.ndarray) -> FoldOutput:
    return FoldOutput(rows, log_probs[rows].astype(np.float32), np.zeros((len(rows), 0), np.float32), features[rows].astype(np.float32))


def silent(n: int) -> Texts:
    return read_texts([None] * n, np.ones(n), [[]] * 3, min_count=1, start_count=0)


def test_gathered_rows_are_means_over_who_judged_them():
    outputs = [FoldOutput(np.array(rows), NO_WORDS, NO_WORDS, NO_WORDS) for rows in ([0, 3], [1, 3])]
    values = [np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [9.0, 0.0]])]
    assert gather(outputs, values, 5).tolist() == [[1, 2], [5, 6], [0, 0], [6, 2], [0, 0]]
    assert gather(outputs, [np.array([1.0, 3.0]), np.array([5.0, 9.0])], 4).tolist() == [1, 5, 0, 6]
    with pytest.raises(ValueError, match="shorter than argument"):
        gather(outputs, values[:1], 5)


def test_words_tell_chances_of_the_states():
    counts = np.array([[3.0, 1.0], [1.0, 3.0], [2.0, 2.0]])
    words = WordModel(counts, np.zeros((0, 3)), np.array([0.5, 0.5]), 0.3)
    chances = np.exp(word_chances(np.array([[1, 0], [0, 1], [0.5, 0.5]]), words, np.array([0.5, 0.25, 0.25])))
    assert chances[0] == pytest.approx([2 / 3, 1 / 9, 2 / 9])
    assert chances[1] == pytest.approx([2 / 7, 3 / 7, 2 / 7])
    assert chances[2] == pytest.approx((chances[0] + chances[1]) / 2)


def make(n: int = 400) -> tuple[np.ndarray, ...]:
    """Truth (the last of three states is off-topic), given concepts with 25 % errors, features, and log chances of the given ones."""
    rng = np.random.default_rng(0)
    truth = rng.choice(3, n, p=[0.4, 0.4, 0.2])
    given = np.where((truth == 2) | (rng.random(n) < 0.25), rng.integers(0, 2, n), truth)
    features = np.eye(3)[truth] + rng.normal(0, 0.35, (n, 3))
    seen = np.where(rng.random(n) < 0.8, truth, rng.integers(0, 3, n))
    chances = np.where(seen[:, None] == 2, 0.5, 0.1 + 0.8 * np.eye(3)[seen][:, :2])
    return truth, given, features, np.log(chances)


def two_folds(log_probs: np.ndarray, features: np.ndarray) -> list[FoldOutput]:
    places = np.arange(len(features))
    return [output(places[places % 2 == fold], log_probs, features) for fold in (0, 1)]


def test_rounds_of_probes_see_more_than_the_networks():
    truth, given, features, log_probs = make()
    n, weights = len(truth), np.ones(len(truth))
    outputs, groups = two_folds(log_probs, features), np.arange(n) // 2
    right = {}
    for n_rounds in (0, 2):
        settings = replace(SETTINGS, n_rounds=n_rounds)
        beliefs = fuse(outputs, given, silent(n), weights, groups, n_concepts=2, settings=settings)
        assert beliefs.posterior.shape == (n, 3)
        assert beliefs.posterior.sum(1) == pytest.approx(np.ones(n))
        right[n_rounds] = (beliefs.posterior.argmax(1) == truth).mean()
    assert right[0] > 0.7
    assert right[2] > right[0] + 0.04


def test_networks_that_know_of_none_are_believed_as_they_are():
    log_probs = np.log(np.array([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]] * 20))
    given = np.array([0, 1, 0] * 20)
    none = replace(SETTINGS, n_rounds=0)
    beliefs = fuse(
        [output(np.arange(60), log_probs, log_probs)], given, silent(60), np.ones(60), np.arange(60), n_concepts=2, settings=none
    )
    assert beliefs.posterior.argmax(1).tolist() == [0, 1, 2] * 20


def test_copies_are_never_parted_between_fit_and_judgement():
    """Features that name the group and nothing else: only a leak lets the image of an undecided row know what the row was given."""
    rng = np.random.default_rng(0)
    n = 202  # copies stand 101 places apart, so without groups the two would fall into different subfolds
    given, features = np.tile(rng.permutation(np.arange(n // 2) % 2), 2), np.tile(rng.normal(size=(n // 2, 60)), (2, 1))
    decided = np.arange(n) % (n // 2) < 60
    chances = np.where(decided[:, None], 0.05 + 0.85 * np.eye(3)[given], [0.475, 0.475, 0.05])
    outputs = [output(np.arange(n), np.log(chances), features)]
    known = {}
    for name, groups in (("grouped", np.arange(n) % (n // 2)), ("parted", np.arange(n))):
        beliefs = fuse(outputs, given, silent(n), np.ones(n), groups, n_concepts=2, settings=replace(SETTINGS, n_rounds=1))
        own = beliefs.image[np.arange(n), given] / beliefs.image[:, :2].sum(1)
        known[name] = own[~decided].mean()
    assert known["grouped"] < 0.6
    assert known["parted"] > 0.9


def test_rows_of_no_weight_are_judged_and_shape_nothing():
    truth, given, features, log_probs = make()
    n = len(truth)
    idle = np.arange(n) % 5 == 0
    weights, groups = np.where(idle, 0.0, 1.0), np.arange(n)
    first, second = (
        fuse(two_folds(log_probs, features), one, silent(n), weights, groups, n_concepts=2, settings=SETTINGS)
        for one in (given, np.where(idle, 1 - given, given))
    )
    assert second.posterior[~idle] == pytest.approx(first.posterior[~idle], abs=1e-9)
    assert np.abs(second.posterior[idle] - first.posterior[idle]).max() > 0.2
    assert (first.posterior[idle].argmax(1) == truth[idle]).mean() > 0.7


def test_no_step_is_refused():
    log_probs = np.log(np.full((4, 2), 0.5))
    with pytest.raises(ValueError, match="^n_steps is 0: the EM needs at least 1 step$"):
        fuse(
            [output(np.arange(4), log_probs, log_probs)], np.array([0, 1, 0, 1]), silent(4), np.ones(4), np.arange(4),
            n_concepts=2, settings=replace(SETTINGS, n_steps=0),
        )  # fmt: skip
