"""Read off what curation bought: arms side by side, out of the figures of `evaluate`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from tasks.methods.report_charts import dots_with_intervals, shares_with_intervals

BASELINE, TREATED = "raw", "curated"
ORDER = (BASELINE, "random", TREATED)
ACCURACY = "in_domain_accuracy"
NO_MEASURE = (
    ACCURACY,
    "linear_probe",
    "penalty",
    "samples_seen",
    "rows",
    "per_concept_accuracy",
    "reliability",
)  # shown elsewhere, or no quality


@dataclass(frozen=True)
class Arm:
    """One arm's share of right answers: its mean over the seeds, every seed's own, and the interval of its gain over the raw arm."""

    arm: str
    value: float
    seeds: tuple[float, ...]
    gain: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """All arms by one figure."""

    figure: str
    arms: tuple[Arm, ...]

    @property
    def treated(self) -> Arm | None:
        return next((arm for arm in self.arms if arm.arm == TREATED and arm.gain is not None), None)


def comparisons(metrics: Mapping[str, Any]) -> list[Comparison]:
    """One per figure that `evaluate` compares (in-domain accuracy, a linear probe per near-domain set), as far as models have it."""
    found = []
    for figure, gains in metrics.get("gain", {}).items():
        path = (figure,) if figure == ACCURACY else (figure.removesuffix("_linear_probe"), "linear_probe")
        arms = []
        for arm in in_order(metrics["arms"]):
            values = [value for _, figures in sorted(metrics["arms"][arm].items()) if (value := _at(figures, path)) is not None]
            gain = gains.get(arm, {})
            if values:
                arms.append(Arm(arm, float(np.mean(values)), tuple(values), gain.get("mean"), gain.get("low"), gain.get("high")))
        if arms:
            found.append(Comparison(figure, tuple(arms)))
    return found


def other_measures(metrics: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, list[float | None]]]]:
    """Arms, and per remaining figure each arm's mean over its seeds."""
    arms = in_order(metrics.get("arms", {}))
    values: dict[str, dict[str, list[float]]] = {}
    for arm in arms:
        for figures in metrics["arms"][arm].values():
            for name, value in flat({key: found for key, found in figures.items() if key not in NO_MEASURE}):
                if name.rpartition(".")[2] not in NO_MEASURE:
                    values.setdefault(name, {}).setdefault(arm, []).append(value)
    return arms, [(name, [float(np.mean(found[arm])) if arm in found else None for arm in arms]) for name, found in values.items()]


def chart(comparison: Comparison) -> Markup:
    """The arms by one figure; an arm's interval is that of its gain, laid from the raw arm's value."""
    base = next((arm.value for arm in comparison.arms if arm.arm == BASELINE), 0.0)
    rows = [(arm.arm, arm.value, _end(base, arm.low), _end(base, arm.high), arm.seeds) for arm in comparison.arms]
    said = ", ".join(f"{arm.arm} {100 * arm.value:.1f} %" for arm in comparison.arms)
    return dots_with_intervals(rows, baseline=BASELINE, title=f"{comparison.figure.replace('_', ' ')}: {said}")


def against_share(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Accuracy against the share of the raw arm's rows that each arm keeps: `evaluate`'s table, and its chart if it has such shares."""
    rows = [{**row, **{end: (row["gain"] or {}).get(end) for end in ("mean", "low", "high")}} for row in metrics.get("bought", ())]
    shown = [row for row in rows if row["share_kept"] is not None]
    base = next((row["accuracy"] for row in shown if row["arm"] == BASELINE), 0.0)
    said = ", ".join(f"{row['arm']} {100 * row['accuracy']:.1f} % of {100 * row['share_kept']:.0f} %" for row in shown)
    points = [(row["arm"], row["share_kept"], row["accuracy"], _end(base, row["low"]), _end(base, row["high"])) for row in shown]
    drawn = shares_with_intervals(points, baseline=BASELINE, title=f"Accuracy by share kept: {said}", x_title="share of the rows kept")
    return {"rows": rows, "chart": drawn if len(shown) > 1 else None}


def by_concept(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Concept -> arm -> accuracy, out of rows of these three."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        found.setdefault(row["concept"], {})[row["arm"]] = row["accuracy"]
    return found


def in_order(arms: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """Raw, random and curated first, then others by name."""
    return sorted(arms, key=lambda arm: (ORDER.index(arm) if arm in ORDER else len(ORDER), arm))


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of nested metrics, by their dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{before}{name}", float(value)


def _end(base: float, gain: float | None) -> float | None:
    return None if gain is None else min(1.0, max(0.0, base + gain))  # few seeds: an interval can be wider than all there is


def _at(figures: Mapping[str, Any], path: Sequence[str]) -> float | None:
    found: Any = figures
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) else None
