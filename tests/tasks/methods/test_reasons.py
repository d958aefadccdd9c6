"""Reasons of rows, worked by hand."""

import pytest

from tasks.methods.failures import REASONS
from tasks.methods.reasons import Reason, row_reasons


def reasons(status: str = "ok", detail: str | None = None, width: int | None = 100, height: int | None = 100) -> list[str]:
    limits = {"min_side": 32, "max_aspect_ratio": 3.0, "min_safety": {}}
    found = row_reasons(status=[status], detail=[detail], width=[width], height=[height], safety=[None], **limits)
    return found[0]


def test_every_detail_has_a_public_reason() -> None:
    for detail, reason in REASONS.items():
        assert reasons("failed", detail, None, None) == [reason]
        assert reason in list(Reason)


def test_limits_are_inclusive() -> None:
    assert reasons(width=32, height=96) == []
    assert reasons(width=31, height=31) == ["too_small"]
    assert reasons(width=32, height=97) == ["invalid"]
    assert reasons(width=200, height=10) == ["too_small", "invalid"]


def test_the_funnel_begins_with_what_people_asked_for() -> None:
    assert next(iter(Reason)) == "forgotten"
    assert list(Reason).index(Reason.DUPLICATE) < list(Reason).index(Reason.LABEL_NOISE) < list(Reason).index(Reason.PRUNED)


def test_impossible_records_are_errors() -> None:
    with pytest.raises(ValueError, match=r"^status 'odd' is unknown: a record is 'ok' or 'failed'$"):
        reasons("odd")
    with pytest.raises(ValueError, match=r"^a failed record has no detail: every failure has one$"):
        reasons("failed", None)
    with pytest.raises(ValueError, match=r"^an ok record has size None x 5: every decoded image has both sides$"):
        reasons(width=None, height=5)


def test_unsafe_pictures_are_blocked_and_failed_rows_have_no_scores() -> None:
    found = row_reasons(
        status=["ok", "ok", "ok", "failed"], detail=[None, None, None, "dns"], width=[40, 40, 4, None], height=[40, 40, 4, None],
        safety=['{"harmless": 0.5}', '{"harmless": 0.1}', None, None], min_side=32, max_aspect_ratio=3.0, min_safety={"harmless": 0.5},
    )  # fmt: skip
    assert found == [[], ["blocked"], ["blocked", "too_small"], ["unreachable"]]  # 0.5 is enough, no score is not
