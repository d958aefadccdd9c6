"""Qualities by hand and against cleanlab."""

import numpy as np
import pytest
from cleanlab.rank import get_label_quality_scores

from tasks.methods.label_quality import adjusted_probs, quality_scores
from tests.tasks.methods.label_tables import predictions

QUALITIES = ["self_confidence", "normalized_margin", "confidence_weighted_entropy"]


def test_by_hand():
    probs, given = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]]), np.array([0, 1])
    assert quality_scores(probs, given, quality="self_confidence") == pytest.approx([0.6, 0.2])
    assert quality_scores(probs, given, quality="normalized_margin") == pytest.approx([0.65, 0.3])
    doubt = -(0.6 * np.log(0.6) + 0.3 * np.log(0.3) + 0.1 * np.log(0.1)) / np.log(3) / 0.6
    assert quality_scores(probs, given, quality="confidence_weighted_entropy")[0] == pytest.approx(np.log(1 + doubt) / doubt)


# cleanlab refuses to adjust the entropy.
@pytest.mark.parametrize(("quality", "adjusted"), [*((name, False) for name in QUALITIES), *((name, True) for name in QUALITIES[:2])])
def test_equal_to_cleanlab(quality, adjusted):
    pred_probs, given = predictions(500, 7, 0)
    theirs = get_label_quality_scores(given, pred_probs, method=quality, adjust_pred_probs=adjusted)
    assert quality_scores(pred_probs, given, quality=quality, adjusted=adjusted) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("quality", QUALITIES)
def test_certain_rows_have_the_ends_of_the_scale(quality):
    scores = quality_scores(np.eye(3)[[0, 1, 2]], np.array([0, 1, 0]), quality=quality)
    assert scores == pytest.approx([1, 1, 0 if quality != "confidence_weighted_entropy" else 1])
    alone = quality_scores(np.ones((2, 1)), np.array([0, -1]), quality=quality, adjusted=True)
    assert alone == pytest.approx([1, 1])


def test_adjustment_helps_the_rare_concept():
    limits = np.array([0.9, 0.4])
    assert adjusted_probs(np.array([[0.6, 0.4]]), limits)[0, 1] > 0.5
    assert adjusted_probs(np.array([[0.6, 0.4]]), np.array([0.9, 2.0]))[0] == pytest.approx([0.6, 0.4])  # nothing is known of an empty one


@pytest.mark.parametrize("quality", QUALITIES)
def test_given_concepts_that_do_not_belong_to_the_predictions_are_refused(quality):
    with pytest.raises(ValueError, match="given concept 2 of 2: number them from 0, with -1 for none"):
        quality_scores(np.eye(2), np.array([0, 2]), quality=quality)


def test_an_unknown_quality_is_refused():
    with pytest.raises(
        ValueError, match="quality 'best' is unknown: use self_confidence, normalized_margin or confidence_weighted_entropy"
    ):
        quality_scores(np.eye(2), np.array([0, 1]), quality="best")
