"""Describe steps around a training: one frozen record per way to learn without labels, with its parameters and their ranges."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tasks.methods.loss_settings import LossSettings
from tasks.methods.ranges import CLOSED, check


@dataclass(frozen=True)
class ViewContrast:
    """SimCLR: two views of a picture find each other among all views of the batch, in a projected space of `width` numbers behind as many
    hidden ones as there are features; `temperature` of the softmax. Learns no concepts."""

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["view_contrast"]
    width: int
    temperature: float

    def __post_init__(self) -> None:
        check(self, "width", 1)
        check(self, "temperature", 0, open_start=True)


@dataclass(frozen=True)
class Distillation:
    """A teacher's probabilities are the target, of a softmax at `temperature`; `teacher_share` of the loss, the rest is cross-entropy with
    the given concepts."""

    __pydantic_config__: ClassVar = CLOSED
    method: Literal["distillation"]
    temperature: float
    teacher_share: float

    def __post_init__(self) -> None:
        check(self, "temperature", 0, open_start=True)
        check(self, "teacher_share", 0, 1)


StepSettings = LossSettings | ViewContrast | Distillation
