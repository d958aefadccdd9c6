"""Train without labels: on what two views of a picture have in common, and on what a teacher says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.methods.losses import cross_entropy, distillation_loss, view_contrast
from tasks.methods.objectives import Batch, Forward, Task
from tasks.methods.prototype_objective import projected_of
from tasks.methods.step_settings import Distillation, ViewContrast

if TYPE_CHECKING:
    import torch


class Agree:
    """SimCLR (Chen et al. 2020): views of one picture are brought together, those of others apart, behind a hidden layer of the features'
    own width. Together with a backbone that ends in a layer of its own ("+layer") the head has SimCLRv2's three layers."""

    n_networks, views = 1, 2

    def __init__(self, settings: ViewContrast, task: Task) -> None:
        self._settings = settings
        self.projection: tuple[int, ...] = (task.width, settings.width)
        self.tensors: dict[str, torch.Tensor] = {}

    def loss(self, batch: Batch, forward: Forward) -> torch.Tensor:
        losses = view_contrast(projected_of(forward()), temperature=self._settings.temperature)
        return batch.weighted_mean(losses.view(-1, 2).mean(1))


class Follow:
    """Distillation: a teacher's probabilities are the targets, if asked for beside the given classes (Chen et al. 2020b, eq. 2 and 3)."""

    n_networks, views = 1, 1
    projection: tuple[int, ...] = ()

    def __init__(self, settings: Distillation, task: Task) -> None:
        import torch

        if task.targets is None:
            raise ValueError("distillation needs a teacher's probabilities: pass rows with targets")
        self._settings = settings
        self._targets = torch.from_numpy(task.targets).to(task.device)
        self.tensors: dict[str, torch.Tensor] = {}

    def loss(self, batch: Batch, forward: Forward) -> torch.Tensor:
        logits, share = forward().logits, self._settings.teacher_share
        losses = share * distillation_loss(logits, self._targets[batch.places], temperature=self._settings.temperature)
        if share < 1:
            losses = losses + (1 - share) * cross_entropy(logits, batch.classes)
        return batch.weighted_mean(losses)
