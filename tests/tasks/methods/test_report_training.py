"""Curves become one chart per measure, one colour per arm; confidence is drawn against accuracy."""

import re

from tasks.methods.report_training import reliability_diagram, training_curves
from tasks.pretrain import CURVE as COLUMNS

CURVE = [{"step": "10", "loss": "2.0", "accuracy": ""}, {"step": "20", "loss": "1.0", "accuracy": ""}]


def test_runs_of_an_arm_share_a_name():
    charts = training_curves({"raw-0": CURVE, "raw-1": CURVE, "curated-0": CURVE}, {})
    assert [chart["title"] for chart in charts] == ["Loss in training"]
    drawn = str(charts[0]["chart"])
    assert drawn.count('class="curve raw"') == 2
    assert drawn.count(">raw<") == 1
    assert drawn.count(">curated<") == 1


def test_measures_that_were_noted_are_drawn():
    noted = [{**row, "accuracy": "0.5"} for row in CURVE]
    assert set(noted[0]) <= set(COLUMNS)
    assert len(training_curves({"raw-0": noted}, {})) == 2


def test_nothing_trained_is_no_chart():
    assert training_curves({}, {}) == []
    assert reliability_diagram({"arms": {"raw": {"0": {"in_domain_accuracy": 0.5}}}}) == []


def test_reliability_is_the_mean_of_the_seeds_by_share():
    low = {"from": 0.0, "confidence": 0.25, "accuracy": 0.0, "share": 0.75}
    seeds = {
        "0": {"reliability": [low, {"from": 0.5, "confidence": 1.0, "accuracy": 1.0, "share": 0.25}]},
        "1": {"reliability": [{"from": 0.0, "confidence": 0.25, "accuracy": 1.0, "share": 0.25}]},
    }
    (chart,) = reliability_diagram({"arms": {"raw": seeds}})
    found = re.search(r'points="([^"]*)" class="curve raw"', str(chart["chart"]))
    (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in found[1].split())
    even = re.search(r'points="([^"]*)" class="curve baseline"', str(chart["chart"]))
    (left, bottom), (right, top) = (map(float, point.split(",")) for point in even[1].split())
    assert (x2, y2) == (right, top)
    assert abs((x1 - left) / (right - left) - 0.25) < 0.01
    assert abs((y1 - bottom) / (top - bottom) - 0.25) < 0.01  # (0.75 * 0 + 0.25 * 1) / 1
