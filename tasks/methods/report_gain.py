"""Compare arms: accuracy of every training arm on the clean sets, and what curation bought against the raw crawl."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

BASE, TREATED = "raw", "curated"


@dataclass(frozen=True)
class Accuracy:
    """An arm's accuracy: the mean over its seeds, with a 95 % interval, and every seed's own."""

    arm: str
    value: float
    low: float
    high: float
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """All arms on one clean set, and the gain of the curated arm over the raw one in shares of the pictures."""

    clean_set: str
    n_pictures: int
    arms: tuple[Accuracy, ...]
    gain: float | None
    gain_low: float | None
    gain_high: float | None


def compare(*, clean_set: str, correct: Mapping[str, np.ndarray], resamples: int, seed: int) -> Comparison:
    """Compare arms by their hits, `(seeds, pictures) bool` each, the same pictures in the same order.

    Intervals are the 2.5 and 97.5 percentiles over `resamples` draws, with replacement, of pictures and, per arm, of seeds
    (Efron and Tibshirani 1993, the percentile method). Raises ValueError if arms saw different pictures.
    """
    sizes = {hits.shape[1] for hits in correct.values()}
    if len(sizes) != 1:
        raise ValueError(f"clean set '{clean_set}': the arms were asked about different numbers of pictures: {sorted(sizes)}")
    pictures = sizes.pop()
    generator = np.random.default_rng(seed)
    draws = {arm: np.empty(resamples) for arm in correct}
    for place in range(resamples):
        weight = np.bincount(generator.integers(pictures, size=pictures), minlength=pictures) / pictures
        for arm, hits in correct.items():
            runs = hits[generator.integers(len(hits), size=len(hits))]
            draws[arm][place] = (runs @ weight).mean()
    arms = tuple(
        Accuracy(arm, float(hits.mean()), *_interval(draws[arm]), tuple(float(run.mean()) for run in hits)) for arm, hits in correct.items()
    )
    if BASE not in correct or TREATED not in correct:
        return Comparison(clean_set, pictures, arms, None, None, None)
    gain = float(correct[TREATED].mean() - correct[BASE].mean())
    return Comparison(clean_set, pictures, arms, gain, *_interval(draws[TREATED] - draws[BASE]))


def verdict(comparison: Comparison | None) -> str:
    """What curation bought, in one sentence."""
    if comparison is None or comparison.gain is None or comparison.gain_low is None or comparison.gain_high is None:
        return "What the cleaning bought is not measured yet: no model was trained on both the raw and the curated rows."
    accuracy = {arm.arm: arm.value for arm in comparison.arms}
    low, high = 100 * comparison.gain_low, 100 * comparison.gain_high
    figures = f"{100 * accuracy[BASE]:.1f} % trained on the raw rows, {100 * accuracy[TREATED]:.1f} % on the curated ones"
    points = f"{100 * comparison.gain:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}"
    if low > 0:
        return f"The cleaning bought accuracy: {figures} ({points})."
    if high < 0:
        return f"The cleaning cost accuracy: {figures} ({points})."
    return f"The cleaning bought nothing that can be told from chance: {figures} ({points})."


def _interval(draws: Sequence[float] | np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)
