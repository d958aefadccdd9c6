"""What was bought is read off `evaluate`'s figures as they are."""

import pytest

from tasks.methods.report_gain import against_share, by_concept, chart, comparisons, flat, in_order, other_measures

METRICS = {
    "arms": {
        "curated": {"0": {"in_domain_accuracy": 0.8, "ece": 0.1, "pets": {"linear_probe": 0.5, "nearest_neighbors": 0.4}, "rows": 9}},
        "raw": {
            "0": {"in_domain_accuracy": 0.6, "ece": 0.2, "pets": {"linear_probe": 0.3, "nearest_neighbors": 0.2}, "rows": 9},
            "1": {"in_domain_accuracy": 0.7, "ece": 0.4, "pets": {"linear_probe": 0.4, "nearest_neighbors": 0.3}, "rows": 9},
        },
    },
    "gain": {
        "in_domain_accuracy": {"curated": {"mean": 0.15, "low": 0.1, "high": 0.2, "seeds": 2}},
        "pets_linear_probe": {"curated": {"mean": 0.15, "low": None, "high": None, "seeds": 1}},
    },
}


def test_comparisons_have_means_seeds_and_gains():
    first, second = comparisons(METRICS)
    assert [arm.arm for arm in first.arms] == ["raw", "curated"]
    assert first.arms[0].value == pytest.approx(0.65)
    assert first.arms[0].seeds == (0.6, 0.7)
    assert (first.treated.gain, first.treated.low, first.treated.high) == (0.15, 0.1, 0.2)
    assert second.figure == "pets_linear_probe"
    assert second.arms[1].value == 0.5
    assert second.treated.low is None


def test_other_measures_are_means_over_the_seeds():
    arms, measures = other_measures(METRICS)
    assert arms == ["raw", "curated"]
    assert [name for name, _ in measures] == ["ece", "pets.nearest_neighbors"]
    assert measures[0][1] == pytest.approx([0.3, 0.1])


def test_accuracy_against_the_share_kept():
    raw = {"arm": "raw", "rows": 9, "share_kept": 1.0, "accuracy": 0.6, "accuracies": [0.6], "gain": None}
    gain = {"mean": 0.2, "low": 0.1, "high": 0.3, "seeds": 2}
    curated = {"arm": "curated", "rows": 3, "share_kept": 1 / 3, "accuracy": 0.8, "accuracies": [0.7, 0.9], "gain": gain}
    found = against_share({"bought": [raw, curated]})
    assert [(row["arm"], row["mean"], row["low"], row["high"]) for row in found["rows"]] == [
        ("raw", None, None, None),
        ("curated", 0.2, 0.1, 0.3),
    ]
    assert "raw 60.0 % of 100 %, curated 80.0 % of 33 %" in str(found["chart"])
    assert str(found["chart"]).count("interval") == 1
    alone = against_share({"bought": [{**curated, "share_kept": None, "gain": None}]})
    assert alone["rows"][0]["accuracy"] == 0.8
    assert alone["chart"] is None
    assert against_share({}) == {"rows": [], "chart": None}


def test_nothing_evaluated_is_nothing_to_compare():
    assert comparisons({}) == []
    assert other_measures({}) == ([], [])


def test_an_interval_wider_than_all_there_is_ends_at_the_edge():
    wide = {**METRICS, "gain": {"in_domain_accuracy": {"curated": {"mean": 0.15, "low": -3.0, "high": 3.0, "seeds": 2}}}}
    drawn = str(chart(comparisons(wide)[0]))
    assert ">0 %<" in drawn
    assert ">100 %<" in drawn
    assert "-" not in drawn.partition("</title>")[2].replace("text-anchor", "")


def test_arms_by_name_after_the_known_ones():
    assert in_order(["zoo", "curated", "raw", "ablation"]) == ["raw", "curated", "ablation", "zoo"]


def test_flat_and_by_concept():
    assert list(flat({"a": {"b": 1, "no": "x", "yes": True}, "c": 0.5})) == [("a.b", 1.0), ("c", 0.5)]
    rows = [{"concept": "cat", "arm": "raw", "accuracy": 0.5}, {"concept": "cat", "arm": "curated", "accuracy": 0.7}]
    assert by_concept(rows) == {"cat": {"raw": 0.5, "curated": 0.7}}
