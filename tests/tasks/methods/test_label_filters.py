"""The rules by hand, against cleanlab, and against people's verdicts on published test sets."""

import json
from pathlib import Path

import numpy as np
import pytest
from cleanlab.filter import find_label_issues

from tasks.methods.label_filters import RULES, find_issues, prune_counts, rounded_rows
from tests.tasks.methods.label_tables import predictions
from tests.tasks.methods.test_confident_learning import GIVEN, PRED_PROBS

WARNINGS = pytest.mark.filterwarnings("ignore:May not flag all label issues")


def test_the_worked_example():
    assert prune_counts(PRED_PROBS, GIVEN, noise_share=1.0, min_rows=1).tolist() == [[2, 1, 0], [0, 3, 0], [0, 0, 4]]
    # Row 8 is likely wrong too, but no concept passes its threshold.
    others = {"predicted_neq_given": [2, 5, 8, 9], "low_self_confidence": [8]}
    for rule in set(RULES) - {"low_normalized_margin"}:  # there rows 2 and 8 are equal
        assert np.flatnonzero(find_issues(PRED_PROBS, GIVEN, rule=rule)).tolist() == others.get(rule, [2]), rule


def test_rounding_keeps_the_sums():
    assert rounded_rows(np.array([[0.4, 0.4, 2.2], [1.6, 1.6, 0.8], [2.0, 0.0, 0.0]])).tolist() == [[0, 1, 2], [1, 2, 1], [2, 0, 0]]


@WARNINGS
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("n", "k", "seed"), [(600, 3, 0), (2000, 10, 1), (1500, 40, 2), (300, 2, 3)])
def test_equal_to_cleanlab(rule, n, k, seed):
    pred_probs, given = predictions(n, k, seed)
    ours = find_issues(pred_probs, given, rule=rule)
    assert ours.any()
    assert np.array_equal(ours, find_label_issues(given, pred_probs, filter_by=rule, n_jobs=1))


@WARNINGS
@pytest.mark.parametrize("rule", ["prune_by_class", "prune_by_noise_rate", "both"])
def test_a_part_of_the_noise_and_rows_that_must_stay_as_in_cleanlab(rule):
    pred_probs, given = predictions(900, 6, 4, noise=0.5)
    ours = find_issues(pred_probs, given, rule=rule, noise_share=0.5, min_rows=60)
    assert np.array_equal(ours, find_label_issues(given, pred_probs, filter_by=rule, frac_noise=0.5, min_examples_per_class=60, n_jobs=1))
    assert ours.sum() < find_issues(pred_probs, given, rule=rule).sum()


@pytest.mark.parametrize("name", ["mnist", "20news"])
@pytest.mark.parametrize("rule", RULES)
def test_published_test_sets(shared_data: Path, name, rule):
    folder = shared_data / "label_errors"
    pred_probs, given = np.load(folder / f"{name}_pred_probs.npy"), np.load(folder / f"{name}_given_labels.npy").astype(np.int64)
    ours = find_issues(pred_probs, given, rule=rule)
    theirs = find_label_issues(given, pred_probs, filter_by=rule, n_jobs=1)
    assert np.array_equal(ours, theirs)
    verdicts = json.loads((folder / f"{name}_human_verdicts.json").read_text())
    wrong = [row["id"] for row in verdicts if row["mturk"]["given"] < 3]
    assert ours[wrong].mean() > 10 * ours.mean()


@pytest.mark.parametrize("rule", RULES)
def test_rows_without_a_concept_empty_concepts_and_single_rows(rule):
    pred_probs, given = predictions(200, 6, 5)
    given = np.where(given == 3, -1, given)
    given[0], given[given == 4] = 3, 5  # one row of concept 3, none of 4
    found = find_issues(pred_probs, given, rule=rule)
    assert not found[given < 0].any()
    assert not find_issues(pred_probs, np.full(200, -1), rule=rule).any()
    assert not find_issues(np.full((4, 2), 0.5), np.array([0, 0, 1, 1]), rule=rule).any()
    assert not find_issues(np.ones((3, 1)), np.zeros(3, int), rule=rule).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "best"}, "rule 'best' is unknown: use one of confident_learning, prune_by_class"),
        ({"noise_share": 2.0}, "noise_share 2.0 is a share of the estimated errors: give a number from 0 to 1"),
        ({"noise_share": -1.0}, "noise_share -1.0 is a share"),
        ({"min_rows": -1}, "min_rows -1 is a number of rows to leave: give 0 or more"),
    ],
)
def test_settings_without_a_meaning_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        find_issues(PRED_PROBS, GIVEN, **{"rule": "both", **changes})


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([0, 1, 7], "given concept 7 of 3: number them from 0, with -1 for none"),
        ([0, -2, 1], "given concept -2 of 3"),
        ([0, 1], r"predictions of shape \(3, 3\) for given concepts of shape \(2,\): give \(n, K\) and \(n,\)"),
    ],
)
def test_given_concepts_that_do_not_belong_to_the_predictions_are_refused(rule, given, message):
    with pytest.raises(ValueError, match=message):
        find_issues(np.eye(3), np.array(given), rule=rule)


def test_predictions_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="1 of 2 rows have predictions that are no numbers: leave them out"):
        find_issues(np.array([[0.5, 0.5], [np.nan, 1.0]]), np.array([0, 1]), rule="both")
