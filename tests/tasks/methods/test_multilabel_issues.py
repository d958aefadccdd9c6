"""One concept against the rest: by hand, against cleanlab row by row, and the edges."""

import warnings

import numpy as np
import pytest
from cleanlab.count import compute_confident_joint
from cleanlab.internal.multilabel_scorer import softmin
from cleanlab.multilabel_classification import filter as theirs_filter
from cleanlab.multilabel_classification import rank as theirs_rank

from tasks.methods.confident_learning import normalized_margin
from tasks.methods.label_filters import RULES, find_issues
from tasks.methods.multilabel_issues import entry_issues, entry_scores, error_counts, image_scores

QUALITIES = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
WARNINGS = pytest.mark.filterwarnings("ignore:May not flag all label issues")
SIZES = pytest.mark.parametrize(("n", "k", "seed"), [(600, 3, 0), (1000, 12, 1), (400, 2, 2)])


def table(n: int, k: int, seed: int, *, noise: float = 0.15) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pred_probs, given labels, true labels), each (n, k): concepts of different frequency, entries flipped at random."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, k)) < np.linspace(0.15, 0.6, k)).astype(int)
    logits = (2 * truth - 1) * rng.uniform(0, 4, (n, k)) + rng.normal(0, 0.7, (n, k))
    return 1 / (1 + np.exp(-logits)), np.where(rng.random((n, k)) < noise, 1 - truth, truth), truth


def lists(labels: np.ndarray) -> list[list[int]]:
    return [np.flatnonzero(row).tolist() for row in labels]


def test_by_hand():
    pred_probs = np.array([[0.9, 0.2], [0.8, 0.1], [0.1, 0.9], [0.2, 0.8], [0.1, 0.1], [0.9, 0.9]])
    labels = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0], [1, 0]])
    # Concept 0: given in four rows, mean 0.675; row 4 has 0.1, and its 0.9 of absent passes the 0.85 of rows 2 and 3.
    # Concept 1: absent in four rows, mean of 1 - p is 0.675; row 5 has 0.1, and its 0.9 passes the 0.85 of rows 2 and 3.
    found = entry_issues(pred_probs, labels, rule="confident_learning")
    assert np.argwhere(found).tolist() == [[4, 0], [5, 1]]
    scores = entry_scores(pred_probs, labels, quality="self_confidence")
    assert scores[4] == pytest.approx([0.1, 0.9])
    assert image_scores(scores)[[0, 4]] == pytest.approx([0.8 * 0.8 + 0.2 * 0.9, 0.8 * 0.1 + 0.2 * 0.9])
    # Both joints are [[2, 0], [1, 3]] up to order of states, and rows sum to their sizes already.
    assert error_counts(pred_probs, labels) == pytest.approx(np.array([[0.0, 1.0], [1.0, 0.0]]))


def test_the_moving_average_ends_at_the_worst():
    # From 0.9 over 0.6 to 0.4: 0.8 * 0.4 + 0.2 * (0.8 * 0.6 + 0.2 * 0.9) = 0.452.
    scores = np.array([[0.4, 0.9, 0.6], [0.9, np.nan, 0.4], [np.nan, np.nan, np.nan]])
    assert image_scores(scores) == pytest.approx([0.452, 0.5, np.nan], nan_ok=True)
    assert image_scores(scores, alpha=1.0) == pytest.approx([0.4, 0.4, np.nan], nan_ok=True)
    assert image_scores(scores, aggregate="softmin", temperature=1e-3) == pytest.approx([0.4, 0.4, np.nan], nan_ok=True)


@WARNINGS
@SIZES
@pytest.mark.parametrize("rule", RULES)
def test_issues_are_those_of_cleanlab(rule, n, k, seed):
    pred_probs, labels, _ = table(n, k, seed)
    ours = entry_issues(pred_probs, labels, rule=rule)
    assert ours.any()
    assert np.array_equal(ours, theirs_filter.find_multilabel_issues_per_class(lists(labels), pred_probs, filter_by=rule, n_jobs=1))
    if not rule.startswith("low_"):  # there cleanlab ranks images, not entries, for the answer per image
        assert np.array_equal(ours.any(1), theirs_filter.find_label_issues(lists(labels), pred_probs, filter_by=rule, n_jobs=1))


@SIZES
@pytest.mark.parametrize(
    ("quality", "adjusted"), [*((quality, False) for quality in QUALITIES), ("self_confidence", True), ("normalized_margin", True)]
)
def test_scores_are_those_of_cleanlab(quality, adjusted, n, k, seed):
    pred_probs, labels, _ = table(n, k, seed)
    ours = entry_scores(pred_probs, labels, quality=quality, adjusted=adjusted)
    told = {"method": quality, "adjust_pred_probs": adjusted}
    each = theirs_rank.get_label_quality_scores_per_class(lists(labels), pred_probs, **told)
    np.testing.assert_allclose(ours, each, atol=1e-6)
    np.testing.assert_allclose(image_scores(ours), theirs_rank.get_label_quality_scores(lists(labels), pred_probs, **told), atol=1e-6)
    np.testing.assert_allclose(image_scores(ours, aggregate="softmin"), softmin(ours, temperature=0.1), atol=1e-9)


@SIZES
def test_estimated_errors_are_those_of_cleanlab(n, k, seed):
    pred_probs, labels, _ = table(n, k, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        joints = compute_confident_joint(lists(labels), pred_probs, multi_label=True, calibrate=True)
    theirs = np.stack([joints[:, 0, 1], joints[:, 1, 0]], axis=1)
    assert np.abs(error_counts(pred_probs, labels) - theirs).max() <= 1  # theirs are whole numbers


def test_flipped_entries_are_found_and_missing_told_from_wrong():
    pred_probs, labels, truth = table(3000, 6, 3, noise=0.1)
    found = entry_issues(pred_probs, labels, rule="prune_by_noise_rate")
    flipped = labels != truth
    assert (found & flipped).sum() / found.sum() > 0.6
    assert (found & flipped).sum() / flipped.sum() > 0.6
    counts = error_counts(pred_probs, labels)
    ratio = counts.sum(0) / [(flipped & (labels == 0)).sum(), (flipped & (labels == 1)).sum()]
    assert ((ratio > 0.5) & (ratio < 2)).all()  # these predictions are no better calibrated than they need be


def test_one_concept_is_the_binary_problem():
    pred_probs, labels, _ = table(500, 1, 4)
    binary = np.hstack([1 - pred_probs, pred_probs])
    for rule in RULES:
        assert np.array_equal(entry_issues(pred_probs, labels, rule=rule)[:, 0], find_issues(binary, labels[:, 0], rule=rule))
    scores = entry_scores(pred_probs, labels, quality="normalized_margin")
    assert scores[:, 0] == pytest.approx(normalized_margin(binary, labels[:, 0]))
    assert image_scores(scores) == pytest.approx(scores[:, 0])


@pytest.mark.parametrize("rule", sorted(set(RULES) - {"predicted_neq_given"}))
@pytest.mark.parametrize("state", [0, 1, -1])
def test_a_concept_of_one_state_or_unknown_has_no_issue_and_changes_no_other(rule, state):
    pred_probs, labels, _ = table(300, 4, 5)
    one = labels.copy()
    one[:, 2] = state
    found, before = entry_issues(pred_probs, one, rule=rule), entry_issues(pred_probs, labels, rule=rule)
    assert not found[:, 2].any()
    assert np.array_equal(np.delete(found, 2, 1), np.delete(before, 2, 1))
    assert error_counts(pred_probs, one)[2] == pytest.approx([0, 0])


@pytest.mark.parametrize("rule", RULES)
def test_unknown_entries_are_as_if_their_rows_were_not_there(rule):
    pred_probs, labels, _ = table(400, 3, 6)
    unknown = np.random.default_rng(0).random(400) < 0.3
    hidden = labels.copy()
    hidden[unknown, 1] = -1
    found = entry_issues(pred_probs, hidden, rule=rule)
    alone = entry_issues(pred_probs[~unknown], labels[~unknown], rule=rule)
    assert not found[unknown, 1].any()
    assert np.array_equal(found[~unknown, 1], alone[:, 1])
    scores = entry_scores(pred_probs, hidden, quality="self_confidence")
    assert np.isnan(scores[unknown, 1]).all()
    assert np.isfinite(image_scores(scores)).all()


def test_order_of_rows_and_concepts_does_not_matter():
    pred_probs, labels, _ = table(300, 5, 7)
    rows, columns = np.random.default_rng(1).permutation(300), np.random.default_rng(2).permutation(5)
    found = entry_issues(pred_probs, labels, rule="confident_learning")
    turned = entry_issues(pred_probs[rows][:, columns], labels[rows][:, columns], rule="confident_learning")
    assert np.array_equal(turned, found[rows][:, columns])
    scores = entry_scores(pred_probs, labels, quality="self_confidence")
    assert image_scores(scores[:, columns]) == pytest.approx(image_scores(scores))


def test_no_rows_and_no_concepts():
    assert entry_issues(np.zeros((0, 3)), np.zeros((0, 3), int), rule="both").shape == (0, 3)
    assert image_scores(np.zeros((0, 3))).shape == (0,)
    assert np.isnan(image_scores(np.zeros((4, 0)))).all()


def test_what_can_not_be_judged_is_refused():
    probs, labels = np.full((2, 2), 0.5), np.zeros((2, 2), int)
    for arguments, message in [
        ((probs[:1], labels), r"labels \(2, 2\) and pred_probs \(1, 2\) must be \(n, K\) both"),
        ((probs[0], labels[0]), r"labels \(2,\) and pred_probs \(2,\) must be \(n, K\) both"),
        ((probs, labels + 2), "labels hold 2: an entry is 1"),
        ((probs * 3, labels), "pred_probs hold 1.5: give probabilities"),
        ((probs * np.nan, labels), "pred_probs hold nan: give probabilities"),
    ]:
        with pytest.raises(ValueError, match=message):
            entry_issues(*arguments, rule="both")
    with pytest.raises(ValueError, match="rule 'best' is unknown"):
        entry_issues(probs, labels, rule="best")
    with pytest.raises(ValueError, match="quality 'best' is unknown"):
        entry_scores(probs, labels, quality="best")
    with pytest.raises(ValueError, match="aggregate 'mean' is unknown: use one of moving_average, softmin"):
        image_scores(probs, aggregate="mean")
    with pytest.raises(ValueError, match=r"alpha is 1\.5, temperature 0\.1"):
        image_scores(probs, alpha=1.5)
