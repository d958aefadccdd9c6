"""Describe losses that look below the head: at the features themselves, or through further heads that stand on them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tasks.methods.ranges import CLOSED, check, check_split


@dataclass(frozen=True)
class RepresentationCalibration:
    """RCAL: every concept's features at the start, told by a normal distribution that noise and rarity are taken out of.

    `outlier_share` of a concept's rows tells it nothing; a concept of fewer than `head_rows` others borrows from its `n_heads` nearest of
    more; `spread` is added to the variance in every direction, in mean variances. Features drawn from these distributions are
    `virtual_share` of the classifier's loss; `closeness` is the strength of the pull of each picture's features to those of the start.
    """

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["representation_calibration"]
    outlier_share: float
    head_rows: int
    n_heads: int
    spread: float
    virtual_share: float
    closeness: float

    def __post_init__(self) -> None:
        check(self, "outlier_share", 0, 1, open_end=True)
        check(self, "head_rows", 1)
        check(self, "n_heads", 0)
        check(self, "spread", 0, open_start=True)  # a sphere of some size is left where rows are too few for a covariance
        check(self, "virtual_share", 0, 1)
        check(self, "closeness", 0)


@dataclass(frozen=True)
class OpenTargets:
    """IOMatch: rows that small loss calls noisy count as unlabelled, and are taught by what is predicted, "none of the concepts" included.

    `width` of the hidden layer below the further heads; `min_closed`: probability of a predicted concept from which it is taught;
    `min_open`: that of an open-set target; `open_strength` of what the further heads learn. The others are as in PseudoLoss.
    """

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["open_targets"]
    warmup_epochs: float
    min_clean: float
    min_separation: float
    per_concept: bool
    momentum: float
    width: int
    min_closed: float
    min_open: float
    open_strength: float

    def __post_init__(self) -> None:
        check_split(self)
        check(self, "width", 1)
        check(self, "min_closed", 0, 1)
        check(self, "min_open", 0, 1)
        check(self, "open_strength", 0)
