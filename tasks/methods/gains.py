"""Say what an arm gained over another: differences over the same seeds, their interval, and one sentence."""

from collections.abc import Mapping
from typing import Any

from tasks.methods.metrics import Interval, paired_interval


def compare_arms(figures: Mapping[str, Mapping[int, float]], *, baseline: str, confidence: float) -> dict[str, Interval]:
    """Each other arm's gain over the baseline in one figure, over the seeds that both have; figures: arm -> seed -> value."""
    if baseline not in figures:
        return {}
    gains = {}
    for arm in sorted(set(figures) - {baseline}):
        seeds = sorted(set(figures[arm]) & set(figures[baseline]))
        if seeds:
            pairs = [figures[baseline][seed] for seed in seeds], [figures[arm][seed] for seed in seeds]
            gains[arm] = paired_interval(*pairs, confidence=confidence)
    return gains


def gain_sentence(gain: Interval | None, *, arm: str, baseline: str, samples_seen: int, confidence: float) -> str:
    """What the gain in accuracy comes to, in words; says so when it is nothing."""
    if gain is None:
        return f"What curation bought is not known: no model was trained on both '{arm}' and '{baseline}', or there is no clean test set."
    much = f"{abs(gain.mean) * 100:.1f} points of accuracy at {samples_seen:,} samples seen each"
    if gain.low is None or gain.high is None:
        way = "more" if gain.mean > 0 else "less"
        return f"With one seed '{arm}' has {much} {way} than '{baseline}'; one seed gives no interval, so this may be chance."
    span = f"{confidence:.0%} interval {gain.low * 100:+.1f} to {gain.high * 100:+.1f}, {gain.n} seeds"
    if gain.low > 0:
        return f"Curation bought {much} over '{baseline}' ({span})."
    if gain.high < 0:
        return f"Curation cost {much} against '{baseline}' ({span})."
    return f"Curation bought nothing that these seeds can tell from chance: {gain.mean * 100:+.1f} points of accuracy ({span})."


def as_figures(gain: Interval) -> dict[str, Any]:
    """An interval as the metrics hold it."""
    return {"mean": gain.mean, "low": gain.low, "high": gain.high, "seeds": gain.n}
