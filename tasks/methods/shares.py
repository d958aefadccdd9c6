"""Set arms side by side: what each keeps of the crawl, how well its models do, and what that gains over the baseline."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.methods.gains import as_figures, compare_arms


def arm_table(
    figures: Mapping[str, Mapping[int, float]], rows: Mapping[str, int], *, baseline: str, confidence: float
) -> list[dict[str, Any]]:
    """One row per arm, most rows first: rows, share_kept of the baseline's, accuracy, seeds, and the paired interval of its gain.

    figures: arm -> seed -> accuracy; rows: arm -> how many rows it was trained on. `share_kept` and `gain` are None without a baseline.
    """
    gains = compare_arms(figures, baseline=baseline, confidence=confidence)
    whole = rows.get(baseline)
    found = []
    for arm in sorted(figures, key=lambda arm: (-rows[arm], arm)):
        values = [value for _, value in sorted(figures[arm].items())]
        row: dict[str, Any] = {"arm": arm, "rows": rows[arm], "share_kept": rows[arm] / whole if whole else None}
        row |= {"accuracy": float(np.mean(values)), "accuracies": values}
        found.append(row | {"gain": as_figures(gains[arm]) if arm in gains else None})
    return found
