"""Describe losses: one frozen record per way of training under noise, with its parameters and their ranges.

`epochs` count how often every row has been seen. All of these train on the same batches and the same number of samples; those of two
networks cost twice the time.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tasks.methods.feature_settings import OpenTargets, RepresentationCalibration
from tasks.methods.ranges import CLOSED, check, check_split


@dataclass(frozen=True)
class CrossEntropy:
    """`label_smoothing`: share of the target that is spread over all concepts."""

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["cross_entropy"]
    label_smoothing: float

    def __post_init__(self) -> None:
        check(self, "label_smoothing", 0, 1, open_end=True)


@dataclass(frozen=True)
class GeneralisedCrossEntropy:
    """`q` between cross-entropy (0) and absolute error (1); after `warmup_epochs` of cross-entropy. Rows whose concept has at most the
    probability `truncation` teach nothing after it; 0 = all teach."""

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["generalised_cross_entropy"]
    q: float
    truncation: float
    warmup_epochs: float

    def __post_init__(self) -> None:
        check(self, "q", 0, 1, open_start=True)
        check(self, "truncation", 0, 1, open_end=True)
        check(self, "warmup_epochs", 0)


@dataclass(frozen=True)
class SymmetricCrossEntropy:
    """Strengths of cross-entropy and of reverse cross-entropy."""

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["symmetric_cross_entropy"]
    forward_strength: float
    reverse_strength: float

    def __post_init__(self) -> None:
        check(self, "forward_strength", 0)
        check(self, "reverse_strength", 0)


@dataclass(frozen=True)
class EarlyLearning:
    """ELR: `momentum` of the targets' memory, `strength` of the regulariser."""

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["elr"]
    momentum: float
    strength: float

    def __post_init__(self) -> None:
        check(self, "momentum", 0, 1, open_end=True)
        check(self, "strength", 0)


@dataclass(frozen=True)
class EarlyLearningPlus:
    """ELR+: as ELR with two networks; `mixup` is the parameter of its Beta distribution, 0 = none."""

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["elr_plus"]
    momentum: float
    strength: float
    mixup: float

    def __post_init__(self) -> None:
        check(self, "momentum", 0, 1, open_end=True)
        check(self, "strength", 0)
        check(self, "mixup", 0)


@dataclass(frozen=True)
class PseudoLoss:
    """PLS: imputed labels of the rows that small loss calls noisy, trusted as far as they are stable.

    `warmup_epochs` of cross-entropy; `min_clean` is the posterior below which a label is replaced; `sharpening` the power of the imputed
    label; `mixup` as above; `balance` the strength of the pull towards an even mean prediction; `momentum` of the predictions' memory;
    `min_separation` of the two modes of the losses, in spreads, below which nobody is noisy; `per_concept`: each is split for itself.
    """

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["pseudo_loss"]
    warmup_epochs: float
    min_clean: float
    min_separation: float
    per_concept: bool
    sharpening: float
    mixup: float
    balance: float
    momentum: float

    def __post_init__(self) -> None:
        check_split(self)
        check(self, "sharpening", 1)
        check(self, "mixup", 0)
        check(self, "balance", 0)


@dataclass(frozen=True)
class CoTeaching:
    """Two networks that choose each other's rows: `forget_rate` is the share left out, reached after `ramp_epochs`; `nested_spread` the
    spread of the number of features kept by nested dropout, 0 = none."""

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["co_teaching"]
    forget_rate: float
    ramp_epochs: float
    nested_spread: float

    def __post_init__(self) -> None:
        check(self, "forget_rate", 0, 1, open_end=True)
        check(self, "ramp_epochs", 0)
        check(self, "nested_spread", 0)


@dataclass(frozen=True)
class SmallLoss:
    """DivideMix's way: two networks that split each other's rows by small loss, the rest is taught by what both predict.

    `temperature` sharpens the predicted targets; `unlabelled_strength` of their squared error, reached `ramp_epochs` after the warm-up;
    the others as in PseudoLoss.
    """

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["small_loss"]
    warmup_epochs: float
    min_clean: float
    min_separation: float
    per_concept: bool
    temperature: float
    mixup: float
    unlabelled_strength: float
    ramp_epochs: float
    balance: float
    momentum: float

    def __post_init__(self) -> None:
        check_split(self)
        check(self, "temperature", 0, open_start=True)
        for name in ("mixup", "unlabelled_strength", "ramp_epochs", "balance"):
            check(self, name, 0)


@dataclass(frozen=True)
class PrototypeContrast:
    """CAPro: prototypes of the concepts in a projected space of `width` numbers, labels corrected by classifier and prototypes together,
    and targets bootstrapped from a queue of `queue` earlier pictures.

    `temperature` of the prototypes' softmax; `momentum` per sample of a prototype; `classifier_share` of the mixed prediction (alpha);
    `min_correction` its probability from which a label is replaced (gamma); `min_given` that of the given concept from which it is
    kept, 0 = one over the number of concepts; `bootstrap` the share of the target that comes from the queue (beta).
    """

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["prototype_contrast"]
    width: int
    queue: int
    temperature: float
    momentum: float
    classifier_share: float
    min_correction: float
    min_given: float
    bootstrap: float
    prototype_epochs: float
    cleaning_epochs: float

    def __post_init__(self) -> None:
        check(self, "width", 1)
        check(self, "queue", 1)
        check(self, "temperature", 0, open_start=True)
        check(self, "momentum", 0, 1, open_end=True)
        for name in ("classifier_share", "min_correction", "min_given", "bootstrap"):
            check(self, name, 0, 1)
        check(self, "prototype_epochs", 0)
        check(self, "cleaning_epochs", 0)


@dataclass(frozen=True)
class LossRescaling:
    """A row weighs what its margin is among those of its concept: a sigmoid of its standard score, after `warmup_epochs` in which all weigh
    the same; `momentum` of each concept's mean and spread, from batch to batch."""

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["loss_rescaling"]
    warmup_epochs: float
    momentum: float

    def __post_init__(self) -> None:
        check(self, "warmup_epochs", 0)
        check(self, "momentum", 0, 1, open_end=True)


@dataclass(frozen=True)
class ImpreciseLabels:
    """ILL: the true concept is latent, the given one drawn from it by a matrix that is estimated along the way, in the EM manner.

    `initial_trust`: probability that the given concept is the true one, where the matrix starts; `momentum` of the matrix from batch to
    batch; `balance` of the pull towards an even mean prediction; `warmup_epochs` of cross-entropy come first.
    """

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["imprecise_labels"]
    warmup_epochs: float
    initial_trust: float
    momentum: float
    balance: float

    def __post_init__(self) -> None:
        check(self, "warmup_epochs", 0)
        check(self, "initial_trust", 0, 1, open_start=True, open_end=True)
        check(self, "momentum", 0, 1, open_end=True)
        check(self, "balance", 0)


LossSettings = (
    CrossEntropy
    | GeneralisedCrossEntropy
    | SymmetricCrossEntropy
    | EarlyLearning
    | EarlyLearningPlus
    | PseudoLoss
    | CoTeaching
    | SmallLoss
    | PrototypeContrast
    | LossRescaling
    | ImpreciseLabels
    | RepresentationCalibration
    | OpenTargets
)
