"""Charts hold the right lengths and places, and no foreign markup."""

import re
from xml.etree import ElementTree

import pytest

from tasks.methods.report_charts import dots_with_intervals, lines, paired_histogram, shares_with_intervals


def parsed(chart):
    return ElementTree.fromstring(str(chart))


def test_histogram_bars_are_scaled_to_their_own_largest():
    found = parsed(paired_histogram(kept=[0, 10, 5], dropped=[200, 0, 0], title="t"))
    bars = [(bar.get("class"), float(bar.get("height"))) for bar in found.iter("rect")]
    assert bars == [("kept", 56.0), ("kept", 28.0), ("dropped", 56.0)]


def test_an_empty_histogram_is_an_axis():
    assert not list(parsed(paired_histogram(kept=[0, 0], dropped=[0, 0], title="t")).iter("rect"))


def test_dots_stand_in_order_of_their_values_and_intervals_span_them():
    rows = [("raw", 0.6, None, None, [0.59, 0.61]), ("curated", 0.8, 0.7, 0.9, [0.8])]
    found = parsed(dots_with_intervals(rows, baseline="raw", title="t"))
    dots = [float(dot.get("cx")) for dot in found.iter("circle") if dot.get("class").startswith("dot")]
    interval = next(line for line in found.iter("line") if line.get("class").startswith("interval"))
    assert dots[0] < float(interval.get("x1")) < dots[1] < float(interval.get("x2"))
    assert float(interval.get("x2")) - dots[1] == pytest.approx(dots[1] - float(interval.get("x1")), abs=0.2)
    base = next(line for line in found.iter("line") if line.get("class") == "baseline")
    assert float(base.get("x1")) == pytest.approx(dots[0], abs=0.1)
    assert len([ring for ring in found.iter("circle") if ring.get("class").startswith("ring")]) == 3


def test_shares_lie_across_and_intervals_stand_upright():
    rows = [("raw", 1.0, 0.6, None, None), ("curated", 0.4, 0.8, 0.7, 0.9), ("other", 0.4, 0.8, None, None)]
    found = parsed(shares_with_intervals(rows, baseline="raw", title="t", x_title="kept"))
    raw, curated, _ = ((float(dot.get("cx")), float(dot.get("cy"))) for dot in found.iter("circle"))
    assert curated[0] < raw[0]
    assert curated[1] < raw[1]
    interval = next(line for line in found.iter("line") if line.get("class") == "interval kept")
    assert float(interval.get("x1")) == float(interval.get("x2")) == curated[0]
    assert float(interval.get("y1")) > curated[1] > float(interval.get("y2"))
    base = next(line for line in found.iter("line") if line.get("class") == "baseline")
    assert float(base.get("y1")) == raw[1]
    names = {text.text: float(text.get("y")) for text in found.iter("text") if text.get("class") == "name"}
    assert abs(names["curated"] - names["other"]) >= 12


def test_curves_rise_when_values_rise():
    found = parsed(lines([("a", "raw", [(0, 0.0), (10, 1.0)])], title="t", x_title="step"))
    start, end = (tuple(map(float, point.split(","))) for point in next(found.iter("polyline")).get("points").split())
    assert start[0] < end[0]
    assert start[1] > end[1]


def test_names_are_escaped():
    chart = str(lines([("<b>", 'x" onload="', [(0, 1), (1, 1)])], title="<script>", x_title="&"))
    assert not re.search(r"<b>|<script>|\" onload", chart)
    parsed(chart)
