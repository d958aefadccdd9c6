"""Show training: curves and plain measures out of the metrics of trained models."""

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.methods.report_charts import lines

CURVES = (("loss", "Loss in training"), ("accuracy", "Accuracy on held-back rows"))


def training_curves(runs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A chart per measure; `runs` by ARM-SEED, each with a `curve` of points {step, loss, accuracy}. Runs of one arm share a colour."""
    charts = []
    for column, title in CURVES:
        series: list[tuple[str, str, list[tuple[float, float]]]] = []
        for name, run in runs.items():
            points = [(float(point["step"]), float(point[column])) for point in run.get("curve", []) if point.get(column) is not None]
            arm = name.rpartition("-")[0]
            named = any(one[1] == arm for one in series)
            if points:
                series.append(("" if named else arm, arm, points))
        if series:
            charts.append({"title": title, "chart": lines(series, title=f"{title}, by step", x_title="step", y_title="")})
    return charts


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of nested metrics, by their dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{before}{name}", float(value)
