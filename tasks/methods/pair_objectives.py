"""Train two networks on each other's word: ELR+ and co-teaching."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tasks.methods.loss_settings import CoTeaching, EarlyLearningPlus
from tasks.methods.losses import cross_entropy, elr_memory, elr_term, soft_cross_entropy
from tasks.methods.mixing import blend, draw_blend, nested_mask, nested_sizes
from tasks.methods.objectives import Batch, Forward, Task
from tasks.methods.small_loss import forget_rate, keep_smallest

if TYPE_CHECKING:
    import torch


class ElrPlus:
    """ELR with two networks: each one's targets come from the averaged weights of the other, on pictures that are not blended, and it
    learns from blended ones (Liu et al. 2020, section 4.3)."""

    n_networks, views = 2, 1
    projection: tuple[int, ...] = ()

    def __init__(self, settings: EarlyLearningPlus, task: Task) -> None:
        import torch

        self._settings, self._k = settings, task.n_classes
        self.tensors = {f"memory_{i}": torch.zeros(task.n_rows, task.n_classes, device=task.device) for i in range(2)}

    def loss(self, batch: Batch, forward: Forward) -> torch.Tensor:
        import torch

        own, first = draw_blend(batch.generator, self._settings.mixup), batch.first_visits()
        rows = batch.places[first]
        given = blend(torch.nn.functional.one_hot(batch.classes, self._k).float(), own)
        losses = []
        for i in range(2):
            memory = self.tensors[f"memory_{i}"]
            seen = forward(1 - i, averaged=True).logits
            memory[rows] = elr_memory(memory[rows], seen[first], momentum=self._settings.momentum)
            logits, targets = forward(i, own=own).logits, blend(memory[batch.places], own)
            losses.append(soft_cross_entropy(logits, given) + self._settings.strength * elr_term(logits, targets))
        return batch.weighted_mean(losses[0] + losses[1])


class CoTeach:
    """Co-teaching (Han et al. 2018): each network learns from the rows of the batch on which the other one's loss is small; with nested
    dropout of the features if a spread is given (Chen et al. 2021)."""

    n_networks, views = 2, 1
    projection: tuple[int, ...] = ()

    def __init__(self, settings: CoTeaching, task: Task) -> None:
        self._settings, self._width = settings, task.width
        self.tensors: dict[str, torch.Tensor] = {}

    def loss(self, batch: Batch, forward: Forward) -> torch.Tensor:
        import torch

        share = 1.0 - forget_rate(batch.epoch, rate=self._settings.forget_rate, ramp_epochs=self._settings.ramp_epochs)
        losses = [cross_entropy(forward(i, mask=self._mask(batch)).logits, batch.classes) for i in range(2)]
        total = torch.zeros((), device=batch.weights.device)
        for mine, other in ((0, 1), (1, 0)):
            kept = torch.from_numpy(keep_smallest(losses[other].detach().cpu().numpy(), share)).to(batch.weights.device)
            weights = batch.weights * kept
            total = total + (weights * losses[mine]).sum() / weights.sum().clamp(min=1e-12)
        return total

    def _mask(self, batch: Batch) -> np.ndarray | None:
        if not self._settings.nested_spread:
            return None
        sizes = nested_sizes(len(batch.places), self._width, self._settings.nested_spread, batch.generator)
        return nested_mask(sizes, self._width)
