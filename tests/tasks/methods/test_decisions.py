"""Decisions, by hand."""

import numpy as np
import pytest

from tasks.methods.decisions import doubts, listed, pruned, purity_threshold, review_priority, survivors, thresholds, verdicts
from tasks.methods.reasons import Reason


def test_the_threshold_is_the_lowest_that_reaches_the_target():
    confidence = np.array([1.0, 0.9, 0.8, 0.5, 0.1])
    assert purity_threshold(confidence, target=0.9) == 0.8
    assert purity_threshold(confidence, target=0.8) == 0.5
    assert purity_threshold(confidence, target=0.0) == 0.1
    assert purity_threshold(np.array([0.6, 0.5]), target=0.9) == 1.0
    assert purity_threshold(np.zeros(0), target=0.9) == 1.0


def test_ties_are_kept_or_dropped_together():
    assert purity_threshold(np.array([1.0, 0.8, 0.8, 0.8]), target=0.9) == 1.0


def test_the_target_holds_for_relabelled_rows_by_themselves():
    confidence = np.array([1.0, 1.0, 1.0, 0.9, 0.9, 0.7, 0.6])
    relabelled = np.array([False, False, False, False, True, True, False])
    assert purity_threshold(confidence, target=0.85) == 0.6
    assert thresholds(confidence, np.zeros(7), [relabelled], target=0.85) == [0.6, 0.9]  # 0.8 among the relabelled would be too little
    assert thresholds(confidence, np.zeros(7), [relabelled], target=0.8) == [0.6, 0.7]
    assert thresholds(confidence, np.zeros(7), [np.zeros(7, bool), relabelled], target=0.85) == [0.6, 1.0, 0.9]
    assert thresholds(np.array([1.0, 0.5, 0.5, 0.99]), np.zeros(4), [np.array([False, False, False, True])], target=0.95) == [0.99, 0.99]


def test_the_target_is_reached_with_the_errors_taken_off():
    confidence = np.array([1.0, 0.9, 0.8, 0.5, 0.1])
    assert purity_threshold(confidence, target=0.9, errors=np.array([0.0, 0.01, 0.05, 0.1, 0.1])) == 0.9
    assert purity_threshold(confidence, target=0.9, errors=np.zeros(5)) == 0.8
    assert thresholds(confidence, np.full(5, 0.04), [np.array([False, True, True, True, True])], target=0.75) == [0.5, 0.8]


def test_survivors():
    groups, confidence = np.array([0, 0, 1, 1, -1]), np.array([0.3, 0.9, 0.5, 0.5, 1.0])
    eligible = np.ones(5, bool)
    assert survivors(groups, confidence, eligible, rule="best").tolist() == [False, True, True, False, False]
    assert survivors(groups, confidence, eligible, rule="first").tolist() == [True, False, True, False, False]
    assert survivors(groups, confidence, np.array([True, False, False, True, True]), rule="best").tolist() == [
        True,
        False,
        False,
        True,
        False,
    ]


def test_a_copy_appended_later_changes_no_earlier_survivor_by_rule_first():
    before = survivors(np.array([0, 1]), np.array([0.3, 0.4]), np.ones(2, bool), rule="first")
    after = survivors(np.array([0, 1, 0]), np.array([0.3, 0.4, 0.9]), np.ones(3, bool), rule="first")
    assert after[:2].tolist() == before.tolist()


def test_verdicts():
    given, off = np.array([0.7, 0.1, 0.1, np.nan, 0.9]), np.array([0.1, 0.1, 0.8, np.nan, 0.0])
    found = verdicts(given, off, np.array([True, True, True, True, False]))
    assert found == ["right", "wrong_concept", "off_topic", None, None]


def test_the_cap_prunes_the_least_confident():
    concepts, confidence = np.array([0, 0, 0, 0, 1, 2]), np.array([0.9, 0.6, 0.8, 0.7, 0.5, 0.5])
    gone = pruned(concepts, confidence, np.ones(6, bool), max_imbalance=2.0)
    assert np.flatnonzero(gone).tolist() == [1, 3]
    assert not pruned(concepts, confidence, np.zeros(6, bool), max_imbalance=2.0).any()


def test_no_cap_is_infinite():
    found = pruned(np.array([0, 0, 0, 1]), np.full(4, 0.5), np.ones(4, bool), max_imbalance=float("inf"))
    assert not found.any()


def test_an_unknown_rule_for_survivors_is_refused():
    with pytest.raises(ValueError, match="rule 'worst' for survivors is unknown: use first or best"):
        survivors(np.zeros(1, int), np.ones(1), np.ones(1, bool), rule="worst")


def test_doubts_and_their_order():
    found = doubts(
        np.array([0.2, 0.2, 0.95, 0.95]), np.array([0.7, 0.1, 0, 0]), np.array([0.5, 0.5, 0.5, 0.1]), np.array([True, True, True, False]),
        threshold=0.9, min_text_score=0.2,
    )  # fmt: skip
    assert listed(found, [[], ["invalid"], [], []]) == [["out_of_distribution"], ["invalid", "label_noise"], [], ["mismatched_text"]]
    assert listed({Reason.PRUNED: np.array([True]), Reason.LEAK: np.array([True])}, [[]]) == [["leak", "pruned"]]


def test_review_goes_to_the_least_certain():
    assert review_priority(np.array([0.5, 1.0, 0.9]), np.array([np.nan, 0.0, 0.5])) == pytest.approx([1.0, 0.0, 1.0])
