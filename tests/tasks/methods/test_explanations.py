"""What would change a decision, in words and figures."""

from typing import Any

import pytest

from tasks.methods.explanations import LIFTS, ways
from tasks.methods.reasons import Reason

SAMPLE = {"keep": False, "reasons": [], "duplicate_of": None, "confidence": 0.61, "text_score": 0.03, "reviewed": None,
          "original_width": 200, "original_height": 20}  # fmt: skip


def told(target: float | None = 0.88, threshold: float | None = 0.83, **changes: Any) -> list[str]:
    limits = {"min_side": 25, "max_aspect_ratio": 5.0}
    return ways(SAMPLE | changes, threshold=threshold, target=target, min_text_score=0.05, validation=limits)


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("label_noise", "label_noise: curate.target_purity of at most 0.8800, for its confidence is 0.6100 (rows are kept from 0.8300 on)"),
        ("mismatched_text", "mismatched_text: curate.min_text_score of at most 0.03 (now 0.05), or a verdict"),
        ("too_small", "too_small: validate.min_side of at most 20 (now 25)"),
        ("invalid", "invalid: validate.max_aspect_ratio of at least 10 (now 5)"),
        ("rejected", "rejected: another verdict in `sluice explore`: a person dropped it"),
    ],
)
def test_each_reason_has_its_way_out(reason, sentence):
    assert told(reasons=[reason])[0].startswith(sentence)


def test_a_copy_names_the_one_that_stays():
    assert told(reasons=["duplicate", "leak"], duplicate_of="abc") == [
        "duplicate: it is a copy of abc, which is kept in its place",
        f"leak: {LIFTS[Reason.LEAK]}",
    ]


def test_a_kept_row_says_what_would_drop_it():
    first = told(keep=True, confidence=0.97, target=0.99)[0]
    assert (
        first
        == "a threshold above its confidence of 0.9700 (rows are kept from 0.8300 on); a curate.target_purity above 0.9900 would drop it"
    )
    assert told(keep=True, reviewed="confirmed") == ["a person settled it: another verdict in `sluice explore`"]


def test_every_reason_is_told_without_figures_too():
    told(threshold=None, target=None, reasons=[reason.value for reason in Reason])
    assert "its record would have to give a size" in told(reasons=["invalid"], original_width=None)[0]
