"""Name reasons: why a sample is not kept, in the order in which reasons count, and what a record's own columns say against it."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum

from tasks.methods.failures import reason_of


class Reason(StrEnum):
    """Why a sample is not kept, in the funnel's order: the first that holds is the sample's `reason`."""

    FORGOTTEN = "forgotten"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    DISALLOWED = "disallowed"
    BLOCKED = "blocked"
    TOO_LARGE = "too_large"
    BROKEN = "broken"
    TOO_SMALL = "too_small"
    INVALID = "invalid"
    LEAK = "leak"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    LABEL_NOISE = "label_noise"
    MISMATCHED_TEXT = "mismatched_text"
    PRUNED = "pruned"


def row_reasons(
    *,
    status: Sequence[str],
    detail: Sequence[str | None],
    width: Sequence[int | None],
    height: Sequence[int | None],
    safety: Sequence[str | None],
    min_side: int,
    max_aspect_ratio: float,
    min_safety: Mapping[str, float],
) -> list[list[str]]:
    """Every reason against each of n rows; an empty list means that the row may go on.

    `width` and `height` are pixels of the downloaded image; `max_aspect_ratio` compares the longer side with the shorter;
    `safety` holds scores as JSON, and `min_safety` the least one by name.
    Raises ValueError for an unknown status or detail, and for an ok row without size.
    """
    rows = zip(status, detail, width, height, strict=True)
    found = [_reasons(*row, min_side=min_side, max_aspect_ratio=max_aspect_ratio) for row in rows]
    for reasons, state, scores in zip(found, status, safety, strict=True):
        if state == "ok" and _unsafe(scores, min_safety):
            reasons.insert(0, Reason.BLOCKED.value)
    return found


def _reasons(
    status: str, detail: str | None, width: int | None, height: int | None, *, min_side: int, max_aspect_ratio: float
) -> list[str]:
    if status == "failed":
        if detail is None:
            raise ValueError("a failed record has no detail: every failure has one")
        return [Reason(reason_of(detail)).value]
    if status != "ok":
        raise ValueError(f"status {status!r} is unknown: a record is 'ok' or 'failed'")
    if not width or not height:
        raise ValueError(f"an ok record has size {width} x {height}: every decoded image has both sides")
    shorter, longer = sorted((width, height))
    found = []
    if shorter < min_side:
        found.append(Reason.TOO_SMALL.value)
    if longer > max_aspect_ratio * shorter:
        found.append(Reason.INVALID.value)
    return found


def _unsafe(safety: str | None, least: Mapping[str, float]) -> bool:
    """Whether a score lies below its limit; one that is missing does."""
    if not least:
        return False
    scores = json.loads(safety) if safety is not None else {}
    return any(scores.get(name, -1.0) < limit for name, limit in least.items())
