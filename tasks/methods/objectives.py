"""Train under noise: a batch's loss out of what the networks say, for every kind of loss, behind one flat protocol.

An objective keeps what it remembers in plain tensors by name, so that a checkpoint holds it; it asks for the networks' outputs as it
needs them. Here are those of one network and no more than a memory; the others have modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tasks.methods.feature_settings import OpenTargets, RepresentationCalibration
from tasks.methods.loss_settings import (
    CoTeaching,
    CrossEntropy,
    EarlyLearning,
    EarlyLearningPlus,
    GeneralisedCrossEntropy,
    ImpreciseLabels,
    LossRescaling,
    PrototypeContrast,
    PseudoLoss,
    SmallLoss,
    SymmetricCrossEntropy,
)
from tasks.methods.losses import cross_entropy, elr_memory, elr_term, generalised_cross_entropy, symmetric_cross_entropy
from tasks.methods.step_settings import Distillation, StepSettings, ViewContrast

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Batch:
    """A step's rows, on the device: places and classes (b,) int64, weights (b,) float32.

    `epoch` counts how often all rows had been seen before, with its fraction; `new_epoch`: the first batch in which one begins;
    `generator`: this step's own random numbers.
    """

    places: torch.Tensor
    classes: torch.Tensor
    weights: torch.Tensor
    epoch: float
    new_epoch: bool
    generator: np.random.Generator

    def first_visits(self) -> torch.Tensor:
        """Positions in the batch of its distinct rows: one may stand twice where epochs meet."""
        import torch

        return torch.from_numpy(np.unique(self.places.cpu().numpy(), return_index=True)[1]).to(self.places.device)

    def weighted_mean(self, losses: torch.Tensor) -> torch.Tensor:
        """The mean of losses (b,) times the rows' weights."""
        return (self.weights * losses).mean()


@dataclass(frozen=True)
class Output:
    """logits (b, k) float32 with the logit adjustment; projected (b, w) float32 for objectives that have a projection; features (b, width)
    float32 below the head, where they were asked for."""

    logits: torch.Tensor
    projected: torch.Tensor | None
    features: torch.Tensor | None = None


class Forward(Protocol):
    """What a network says about the batch: `network` 0 or 1; `averaged`: the mean of its weights, without gradient; `own`: pairs of
    pictures are blended, with that share of the own one; `mask` (b, width): factors of the features below the head; `features`: these
    are asked for too."""

    def __call__(
        self, network: int = 0, *, averaged: bool = False, own: float = 1.0, mask: np.ndarray | None = None, features: bool = False
    ) -> Output: ...

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        """The first network's logits, as in Output, of features (b, width) that come from no picture; as many as the batch has rows."""


class Objective(Protocol):
    """`n_networks` trained together on so many `views` of each picture; `projection` the widths of the layers to a projected space, the
    last one its own (none = no such space); `tensors` all that is remembered."""

    n_networks: int
    projection: tuple[int, ...]
    views: int
    tensors: dict[str, torch.Tensor]

    def loss(self, batch: Batch, forward: Forward) -> torch.Tensor: ...


@dataclass(frozen=True)
class Task:
    """What an objective is built for: n rows, k classes, the width of the features, the rows' given classes (n,) int64, a device,
    a teacher's probabilities (n, k) if there are any, and what gives the features (n, width) float32 that the first network starts with."""

    n_rows: int
    n_classes: int
    width: int
    classes: np.ndarray
    device: str
    targets: np.ndarray | None = None
    features: Callable[[], np.ndarray] | None = None


class Plain:
    """A loss of logits and given classes alone."""

    n_networks, views = 1, 1
    projection: tuple[int, ...] = ()

    def __init__(self, function: Callable[[torch.Tensor, Batch], torch.Tensor]) -> None:
        self._function = function
        self.tensors: dict[str, torch.Tensor] = {}

    def loss(self, batch: Batch, forward: Forward) -> torch.Tensor:
        return batch.weighted_mean(self._function(forward().logits, batch))


class Elr:
    """Cross-entropy with the early-learning regulariser (Liu et al. 2020)."""

    n_networks, views = 1, 1
    projection: tuple[int, ...] = ()

    def __init__(self, settings: EarlyLearning, task: Task) -> None:
        import torch

        self._settings = settings
        self.tensors = {"memory": torch.zeros(task.n_rows, task.n_classes, device=task.device)}

    def loss(self, batch: Batch, forward: Forward) -> torch.Tensor:
        logits, memory, first = forward().logits, self.tensors["memory"], batch.first_visits()
        rows = batch.places[first]
        memory[rows] = elr_memory(memory[rows], logits[first], momentum=self._settings.momentum)
        losses = cross_entropy(logits, batch.classes) + self._settings.strength * elr_term(logits, memory[batch.places])
        return batch.weighted_mean(losses)


def build_objective(settings: StepSettings, task: Task) -> Objective:
    """The objective that the settings describe; the only place that knows them all. Raises ValueError for settings of no known kind."""
    if type(settings) not in OBJECTIVES:
        raise ValueError(f"no objective takes {settings!r}: pass one of {', '.join(kind.__name__ for kind in OBJECTIVES)}")
    return OBJECTIVES[type(settings)](settings, task)


def _cross_entropy(settings: CrossEntropy) -> Objective:
    return Plain(lambda logits, batch: cross_entropy(logits, batch.classes, label_smoothing=settings.label_smoothing))


def _generalised(settings: GeneralisedCrossEntropy) -> Objective:
    def function(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        if batch.epoch < settings.warmup_epochs:
            return cross_entropy(logits, batch.classes)
        return generalised_cross_entropy(logits, batch.classes, q=settings.q, truncation=settings.truncation)

    return Plain(function)


def _symmetric(settings: SymmetricCrossEntropy) -> Objective:
    strengths = {"forward_strength": settings.forward_strength, "reverse_strength": settings.reverse_strength}
    return Plain(lambda logits, batch: symmetric_cross_entropy(logits, batch.classes, **strengths))


def _elr_plus(settings: EarlyLearningPlus, task: Task) -> Objective:
    from tasks.methods.pair_objectives import ElrPlus

    return ElrPlus(settings, task)


def _co_teaching(settings: CoTeaching, task: Task) -> Objective:
    from tasks.methods.pair_objectives import CoTeach

    return CoTeach(settings, task)


def _small_loss(settings: SmallLoss, task: Task) -> Objective:
    from tasks.methods.split_objectives import Divide

    return Divide(settings, task)


def _pseudo_loss(settings: PseudoLoss, task: Task) -> Objective:
    from tasks.methods.split_objectives import Impute

    return Impute(settings, task)


def _prototype(settings: PrototypeContrast, task: Task) -> Objective:
    from tasks.methods.prototype_objective import Contrast

    return Contrast(settings, task)


def _rescaling(settings: LossRescaling, task: Task) -> Objective:
    from tasks.methods.estimated_objectives import Rescale

    return Rescale(settings, task)


def _imprecise(settings: ImpreciseLabels, task: Task) -> Objective:
    from tasks.methods.estimated_objectives import Latent

    return Latent(settings, task)


def _representation(settings: RepresentationCalibration, task: Task) -> Objective:
    from tasks.methods.representation_objective import Recover

    return Recover(settings, task)


def _open_targets(settings: OpenTargets, task: Task) -> Objective:
    from tasks.methods.open_set_objective import Unify

    return Unify(settings, task)


def _view_contrast(settings: ViewContrast, task: Task) -> Objective:
    from tasks.methods.label_free_objectives import Agree

    return Agree(settings, task)


def _distillation(settings: Distillation, task: Task) -> Objective:
    from tasks.methods.label_free_objectives import Follow

    return Follow(settings, task)


OBJECTIVES: dict[type, Callable[[Any, Task], Objective]] = {
    CrossEntropy: lambda settings, _: _cross_entropy(settings),
    GeneralisedCrossEntropy: lambda settings, _: _generalised(settings),
    SymmetricCrossEntropy: lambda settings, _: _symmetric(settings),
    EarlyLearning: Elr,
    EarlyLearningPlus: _elr_plus,
    PseudoLoss: _pseudo_loss,
    CoTeaching: _co_teaching,
    SmallLoss: _small_loss,
    PrototypeContrast: _prototype,
    LossRescaling: _rescaling,
    ImpreciseLabels: _imprecise,
    RepresentationCalibration: _representation,
    OpenTargets: _open_targets,
    ViewContrast: _view_contrast,
    Distillation: _distillation,
}
