"""Thresholds reach what they are asked for, say nothing where there is nothing to say, and refuse what has no meaning."""

import numpy as np
import pytest

from tasks.methods.ood_scores import distance_scores
from tasks.methods.ood_thresholds import RULES, distance_fence, threshold

SCORES, KEPT = np.arange(100) / 100, np.arange(100) >= 20


def test_thresholds_reach_their_target():
    assert 0.95 <= (SCORES[KEPT] >= threshold(SCORES, KEPT, rule="recall", target=0.95)).mean() < 0.97
    assert (threshold(SCORES, KEPT, rule="share", target=0.12) > SCORES).mean() == pytest.approx(0.12, abs=0.01)
    assert threshold(SCORES, KEPT, rule="deviation", target=1.0) == pytest.approx(0.595 - 1.4826 * 0.2)
    assert threshold(SCORES, KEPT, rule="deviation", target=9.0) == 0


def test_datalabs_fence_by_hand():
    distances, everyone = np.array([0.1, 0.2, 0.3, 0.9]), np.ones(4, bool)
    assert distance_fence(distances, 1.7) == pytest.approx(0.9175)
    limit = threshold(distance_scores(distances, everyone), everyone, rule="fence", target=1.7)
    assert limit == pytest.approx(np.exp(-0.9175 / 0.25))
    far = np.append(np.linspace(0.1, 0.3, 20), 0.95)
    scores = distance_scores(far, np.ones(21, bool))
    assert np.flatnonzero(scores < threshold(scores, np.ones(21, bool), rule="fence", target=1.7)).tolist() == [20]


def test_two_modes_are_parted_and_one_is_not():
    rng = np.random.default_rng(0)
    scores = np.clip(np.concatenate([rng.normal(0.2, 0.05, 300), rng.normal(0.8, 0.05, 700)]), 0, 1)
    limit = threshold(scores, np.ones(1000, bool), rule="modes", target=1.5)
    assert 0.35 < limit < 0.7
    assert threshold(scores[300:], np.ones(700, bool), rule="modes", target=1.5) == 0
    assert threshold(scores, np.ones(1000, bool), rule="modes", target=50.0) == 0


@pytest.mark.parametrize("rule", RULES)
def test_without_anything_kept_or_any_row_nothing_is_off_topic(rule):
    target = 0.0 if rule == "share" else 1.0
    assert threshold(np.full(5, 0.5), np.zeros(5, bool), rule=rule, target=target) <= 0.5
    assert threshold(np.zeros(0), np.zeros(0, bool), rule=rule, target=target) == 0


@pytest.mark.parametrize(
    ("rule", "target", "message"),
    [
        ("quantile", 0.95, "rule 'quantile' is unknown: use one of recall, deviation, share, fence, modes"),
        ("recall", 1.5, "target 1.5 of rule 'recall' is a share: give a number from 0 to 1"),
        ("share", -0.1, "target -0.1 of rule 'share' is a share: give a number from 0 to 1"),
        ("recall", float("nan"), "target nan of rule 'recall' is a share: give a number from 0 to 1"),
        ("deviation", -3.0, "target -3.0 of rule 'deviation' counts deviations or ranges: give a number of 0 or more"),
        ("fence", float("nan"), "target nan of rule 'fence' counts deviations or ranges: give a number of 0 or more"),
        ("modes", float("inf"), "target inf of rule 'modes' counts deviations or ranges: give a number of 0 or more"),
    ],
)
def test_what_has_no_meaning_is_refused(rule, target, message):
    with pytest.raises(ValueError, match=message):
        threshold(SCORES, KEPT, rule=rule, target=target)
