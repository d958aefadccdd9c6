"""Show training: a chart per measure, out of the curves of trained models."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.methods.report_charts import lines

CURVES = (("loss", "Loss in training"), ("val_accuracy", "Accuracy on held-back rows"))
Curve = Sequence[Mapping[str, str]]


def training_curves(runs: Mapping[str, Curve]) -> list[dict[str, Any]]:
    """A chart per measure; `runs` by ARM-SEED, each with the rows of its curve.csv. Runs of one arm share a colour and a name."""
    charts = []
    for column, title in CURVES:
        series: list[tuple[str, str, list[tuple[float, float]]]] = []
        for name, curve in runs.items():
            points = [(float(row["step"]), float(row[column])) for row in curve if row.get(column)]
            arm = name.rpartition("-")[0]
            named = any(one[1] == arm for one in series)
            if points:
                series.append(("" if named else arm, arm, points))
        if series:
            charts.append({"title": title, "chart": lines(series, title=f"{title}, by step", x_title="step")})
    return charts
