"""Review: what people said about each sample, out of every verdict that was ever saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np

Review = Mapping[str, Any]


class Verdict(StrEnum):
    """What a person may say of a sample."""

    CONFIRMED = "confirmed"
    CORRECTED = "corrected"
    DROPPED = "dropped"
    WITHDRAWN = "withdrawn"


def check_verdict(verdict: str, concept: str | None, known: Sequence[str]) -> Verdict:
    """The verdict, if it can stand with this concept. Raises ValueError for what is unknown, and for a verdict without its concept."""
    if verdict not in list(Verdict):
        raise ValueError(f"verdict {verdict!r} is unknown: use one of {', '.join(Verdict)}")
    named = verdict in (Verdict.CONFIRMED, Verdict.CORRECTED)
    if named and concept not in known:
        raise ValueError(f"verdict '{verdict}' needs one of the dataset's concepts, not {concept!r}")
    if not named and concept is not None:
        raise ValueError(f"verdict '{verdict}' takes no concept, but got {concept!r}")
    return Verdict(verdict)


def latest(reviews: Sequence[Review]) -> dict[str, Review]:
    """The verdict in force by sample_id: the latest of each sample (of equal times the later reviewer by name), none if withdrawn."""
    order = sorted(reviews, key=lambda review: (review["reviewed_at"] or datetime.min, review["reviewer"], review["verdict"]))
    last = {review["sample_id"]: review for review in order}
    return {sample_id: review for sample_id, review in last.items() if review["verdict"] != Verdict.WITHDRAWN}


def applied(
    ids: Sequence[str], hashes: Sequence[str | None], concepts: Sequence[str | None], reviews: Sequence[Review]
) -> tuple[list[str | None], list[str | None]]:
    """For each of n samples the verdict in force and the concept that goes with it; None where there is none.

    A verdict is about a picture: it lapses where a sample's bytes (`hashes`) are others by now. A drop holds for all samples of the same
    bytes and the same given concept too, or else another copy of the picture would take the dropped one's place.
    """
    said = latest(reviews)
    dropped: set[tuple[str | None, str | None]] = set()
    verdicts: list[str | None] = []
    shown: list[str | None] = []
    for sample_id, sha256, concept in zip(ids, hashes, concepts, strict=True):
        review = said.get(sample_id)
        if review is not None and review["sha256"] != sha256:
            review = None
        if review is not None and review["verdict"] == Verdict.DROPPED and concept is not None:
            dropped.add((sha256, concept))
        verdicts.append(str(review["verdict"]) if review is not None else None)
        shown.append(review["concept"] if review is not None else None)
    for row, (sha256, concept) in enumerate(zip(hashes, concepts, strict=True)):
        if verdicts[row] is None and (sha256, concept) in dropped:
            verdicts[row] = Verdict.DROPPED.value
    return verdicts, shown


def believed(confidence: np.ndarray, verdicts: Sequence[str | None]) -> np.ndarray:
    """(n,) confidence with people's certainty in it: 1 where confirmed or corrected, 0 where dropped; NaN stays NaN."""
    surely = np.array([_certainty(verdict) for verdict in verdicts], np.float64)
    return np.where(np.isnan(surely) | np.isnan(confidence), confidence, surely)


def _certainty(verdict: str | None) -> float:
    if verdict is None:
        return float("nan")
    return 0.0 if verdict == Verdict.DROPPED else 1.0
