"""Curves become one chart per measure, one colour per arm."""

from tasks.methods.report_training import training_curves

CURVE = [{"step": "10", "loss": "2.0", "val_accuracy": ""}, {"step": "20", "loss": "1.0", "val_accuracy": ""}]


def test_runs_of_an_arm_share_a_name():
    charts = training_curves({"raw-0": CURVE, "raw-1": CURVE, "curated-0": CURVE})
    assert [chart["title"] for chart in charts] == ["Loss in training"]
    drawn = str(charts[0]["chart"])
    assert drawn.count('class="curve raw"') == 2
    assert drawn.count(">raw<") == 1
    assert drawn.count(">curated<") == 1


def test_measures_that_were_noted_are_drawn():
    noted = [{**row, "val_accuracy": "0.5"} for row in CURVE]
    assert len(training_curves({"raw-0": noted})) == 2


def test_nothing_trained_is_no_chart():
    assert training_curves({}) == []
