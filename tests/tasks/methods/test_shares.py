"""Arms side by side, by hand."""

import pytest

from tasks.methods.shares import arm_table


def test_arms_stand_by_their_size_with_share_and_gain() -> None:
    figures = {"raw": {0: 0.5, 1: 0.6}, "curated": {0: 0.7, 1: 0.7}, "half": {0: 0.55}}
    table = arm_table(figures, {"raw": 1000, "curated": 600, "half": 500}, baseline="raw", confidence=0.95)
    assert [row["arm"] for row in table] == ["raw", "curated", "half"]
    assert [row["share_kept"] for row in table] == [1.0, 0.6, 0.5]
    assert [row["accuracy"] for row in table] == pytest.approx([0.55, 0.7, 0.55])
    assert table[0]["gain"] is None
    assert table[1]["gain"]["mean"] == pytest.approx(0.15)
    assert table[1]["gain"]["low"] < 0.15 < table[1]["gain"]["high"]
    assert table[2]["gain"] == {"mean": pytest.approx(0.05), "low": None, "high": None, "seeds": 1}


def test_without_the_baseline_there_is_no_share_and_no_gain() -> None:
    assert arm_table({"a": {0: 0.5}}, {"a": 3}, baseline="raw", confidence=0.95) == [
        {"arm": "a", "rows": 3, "share_kept": None, "accuracy": 0.5, "accuracies": [0.5], "gain": None}
    ]
