"""Set the score below which an image counts as off-topic, by a stated target."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from tasks.methods.small_loss import clean_posterior

Rule = Literal["recall", "deviation", "share", "fence", "modes"]
RULES: tuple[Rule, ...] = get_args(Rule)
SHARES = ("recall", "share")


def threshold(scores: np.ndarray, kept: np.ndarray, *, rule: Rule, target: float) -> float:
    """The score below which rows count as off-topic; 0 where nothing is.

    scores (n,) in [0, 1], 1 = in distribution; kept (n,) bool: the rows that set the scale.

    - recall: `target` of the kept rows lie at or above it (0.95 is the usual one);
    - share: `target` of all rows lie below it, such as an estimated rate of noise that nothing else explains;
    - deviation: so many robust deviations (1.4826 times the median absolute one) below the kept rows' median; 3 is usual;
    - fence: so many interquartile ranges beyond the outer quartile of the kept rows' distances (Tukey 1977; Datalab takes 1.7). Distances
      are minus the logarithms of the scores, which is what `ood_scores.distance_scores` made of them; ranks have no far end to cut off;
    - modes: where a row of the lower of two normal modes is as likely as one of the upper, over all rows. Means that lie closer than
      `target` deviations of the wider one count as one mode, of which nobody is off-topic; 1.5 is what a single normal one comes to.

    Raises ValueError for an unknown rule, for a share or recall outside [0, 1], and for other targets below 0.
    """
    _check(rule, target)
    if rule == "share":
        return float(np.quantile(scores, target, method="higher")) if len(scores) else 0.0
    if rule == "modes":
        inside = clean_posterior(1 - scores, min_separation=target) > 0.5
        return 0.0 if inside.all() else float(scores[inside].min())
    if not kept.any():
        return 0.0
    own = scores[kept]
    if rule == "recall":
        return float(np.quantile(own, 1 - target, method="lower"))
    if rule == "fence":
        return float(np.exp(-distance_fence(-np.log(np.maximum(own, 1e-300)), target)))
    middle = float(np.median(own))
    return max(middle - target * 1.4826 * float(np.median(np.abs(own - middle))), 0.0)


def distance_fence(distances: np.ndarray, reach: float) -> float:
    """The distance beyond which rows are far: `reach` interquartile ranges above the upper quartile of the distances (n,)."""
    lower, upper = np.quantile(distances, [0.25, 0.75])
    return float(upper + reach * (upper - lower))


def _check(rule: str, target: float) -> None:
    if rule not in RULES:
        raise ValueError(f"rule '{rule}' is unknown: use one of {', '.join(RULES)}")
    if rule in SHARES and not 0 <= target <= 1:
        raise ValueError(f"target {target} of rule '{rule}' is a share: give a number from 0 to 1")
    if rule not in SHARES and not 0 <= target < np.inf:
        raise ValueError(f"target {target} of rule '{rule}' counts deviations or ranges: give a number of 0 or more")
