"""Show training: a chart per measure, out of the curves of trained models, and how far their confidence can be trusted."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.methods.report_charts import lines

CURVES = (("loss", "Loss in training"), ("accuracy", "Accuracy on held-back rows"))
Curve = Sequence[Mapping[str, str]]


def training_curves(runs: Mapping[str, Curve], evaluated: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A chart per measure; `runs` by ARM-SEED, each with the rows of its curve.csv. Runs of one arm share a colour and a name.

    Last the reliability diagram, if `evaluate` has one.
    """
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
    return charts + reliability_diagram(evaluated)


def reliability_diagram(evaluated: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each arm's share of right answers against its confidence, all seeds together, bin by bin; no chart without an arm that has one."""
    series = []
    for arm, seeds in evaluated.get("arms", {}).items():
        bins: dict[float, list[Mapping[str, float]]] = {}
        for figures in seeds.values():
            for row in figures.get("reliability", ()):
                bins.setdefault(row["from"], []).append(row)
        points = [(_mean(rows, "confidence"), _mean(rows, "accuracy")) for _, rows in sorted(bins.items())]
        if points:
            series.append((arm, arm, points))
    if not series:
        return []
    even = ("right as often as sure", "baseline", [(0.0, 0.0), (1.0, 1.0)])
    drawn = lines([even, *series], title="Share of right answers by confidence", x_title="confidence")
    return [{"title": "Confidence and accuracy in domain", "chart": drawn}]


def _mean(rows: Sequence[Mapping[str, float]], name: str) -> float:
    """The mean by share."""
    return sum(row["share"] * row[name] for row in rows) / sum(row["share"] for row in rows)
