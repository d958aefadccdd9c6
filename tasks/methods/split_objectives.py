"""Train on a split of the rows: those of small loss by their given concept, the others by what the networks predict.

Predictions are remembered from each row's last visits, seen through the averaged weights, and a row's loss is that of its remembered
prediction: so no epoch needs a second pass over the rows. The split is made anew whenever an epoch begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tasks.methods.feature_settings import OpenTargets
from tasks.methods.loss_settings import PseudoLoss, SmallLoss
from tasks.methods.losses import cross_entropy, imbalance_penalty, soft_cross_entropy
from tasks.methods.mixing import blend, draw_blend
from tasks.methods.objectives import Batch, Forward, Task
from tasks.methods.small_loss import clean_posterior

if TYPE_CHECKING:
    import torch

LEAST = 1e-6  # probability; keeps a loss finite


class Divide:
    """The small-loss training of DivideMix (Li et al. 2020) without its second augmentation: each network is taught on the split that the
    other one's losses make; noisy rows by the mean of both predictions, with a squared error."""

    n_networks, views = 2, 1
    projection: tuple[int, ...] = ()

    def __init__(self, settings: SmallLoss, task: Task) -> None:
        import torch

        self._settings, self._task = settings, task
        even = torch.full((task.n_rows, task.n_classes), 1.0 / task.n_classes, device=task.device)
        self.tensors = {f"predictions_{i}": even.clone() for i in range(2)}
        self.tensors |= {f"clean_{i}": torch.ones(task.n_rows, device=task.device) for i in range(2)}

    def loss(self, batch: Batch, forward: Forward) -> torch.Tensor:
        import torch

        how, rows = self._settings, batch.places
        if batch.new_epoch and batch.epoch >= how.warmup_epochs:
            for i in range(2):
                split(self.tensors[f"predictions_{i}"], self.tensors[f"clean_{i}"], self._task, how)
        seen = [forward(i, averaged=True).logits for i in range(2)]
        for i in range(2):
            remember(self.tensors[f"predictions_{i}"], seen[i].softmax(1), batch, how.momentum)
        if batch.epoch < how.warmup_epochs:
            return batch.weighted_mean(cross_entropy(forward(0).logits, batch.classes) + cross_entropy(forward(1).logits, batch.classes))
        own = draw_blend(batch.generator, how.mixup)
        guess = (seen[0].softmax(1) + seen[1].softmax(1)) / 2
        given = torch.nn.functional.one_hot(batch.classes, self._task.n_classes).float()
        ramp = min((batch.epoch - how.warmup_epochs) / how.ramp_epochs, 1.0) if how.ramp_epochs else 1.0
        total = torch.zeros((), device=rows.device)
        for i in range(2):
            clean = self.tensors[f"clean_{1 - i}"][rows]
            labelled = clean > how.min_clean
            share = torch.where(labelled, clean, torch.zeros_like(clean))[:, None]
            targets = sharpened(share * given + (1.0 - share) * guess, 1.0 / how.temperature)
            logits, targets = forward(i, own=own).logits, blend(targets, own)
            squared = ((logits.softmax(1) - targets) ** 2).mean(1)
            losses = torch.where(labelled, soft_cross_entropy(logits, targets), how.unlabelled_strength * ramp * squared)
            total = total + batch.weighted_mean(losses) + how.balance * imbalance_penalty(logits)
        return total


class Impute:
    """Pseudo-loss selection (Albert et al. 2023): a noisy row's label is its remembered prediction, sharpened, and counts as far as it
    stays the same from visit to visit; of pictures that show none of the concepts it does not, and they fade out."""

    n_networks, views = 1, 1
    projection: tuple[int, ...] = ()

    def __init__(self, settings: PseudoLoss, task: Task) -> None:
        import torch

        self._settings, self._task = settings, task
        n, k = task.n_rows, task.n_classes
        self.tensors = {name: torch.ones(n, device=task.device) for name in ("clean", "trust")}
        self.tensors["pseudo_losses"] = torch.zeros(n, device=task.device)
        self.tensors["predictions"] = torch.full((n, k), 1.0 / k, device=task.device)

    def loss(self, batch: Batch, forward: Forward) -> torch.Tensor:
        import torch

        how, rows, state = self._settings, batch.places, self.tensors
        if batch.new_epoch and batch.epoch >= how.warmup_epochs:
            self._split()
        seen = forward(averaged=True).logits
        imputed = sharpened(state["predictions"][rows], how.sharpening)
        remember(state["pseudo_losses"], soft_cross_entropy(seen, imputed), batch, how.momentum)
        remember(state["predictions"], seen.softmax(1), batch, how.momentum)
        if batch.epoch < how.warmup_epochs:
            return batch.weighted_mean(cross_entropy(forward().logits, batch.classes))
        noisy = state["clean"][rows] <= how.min_clean
        given = torch.nn.functional.one_hot(batch.classes, self._task.n_classes).float()
        own = draw_blend(batch.generator, how.mixup)
        targets = blend(torch.where(noisy[:, None], imputed, given), own)
        weights = batch.weights * torch.where(noisy, state["trust"][rows], torch.ones_like(batch.weights))
        logits = forward(own=own).logits
        mean = (weights * soft_cross_entropy(logits, targets)).sum() / weights.sum().clamp(min=1e-12)
        return mean + how.balance * imbalance_penalty(logits)

    def _split(self) -> None:
        """Who is clean, by the losses; whose imputed label is stable, by the pseudo-losses of the noisy rows alone."""
        import torch

        state = self.tensors
        split(state["predictions"], state["clean"], self._task, self._settings)
        noisy = state["clean"] <= self._settings.min_clean
        state["trust"].fill_(1.0)
        if noisy.any():
            trust = clean_posterior(state["pseudo_losses"][noisy].cpu().numpy(), min_separation=self._settings.min_separation)
            state["trust"][noisy] = torch.from_numpy(trust).float().to(self._task.device)


def sharpened(probabilities: torch.Tensor, power: float) -> torch.Tensor:
    """Rows of (n, k) to a power, summing to 1 again: above 1 the likely becomes likelier."""
    raised = probabilities**power
    return raised / raised.sum(1, keepdim=True).clamp(min=1e-12)


def split(predictions: torch.Tensor, clean: torch.Tensor, task: Task, how: OpenTargets | PseudoLoss | SmallLoss) -> None:
    """Write into `clean` (n,) the posterior of each row being clean, by the loss of its remembered prediction (n, k)."""
    import torch

    given = predictions.cpu().numpy()[np.arange(task.n_rows), task.classes]
    losses = -np.log(np.maximum(given, LEAST))
    found = clean_posterior(losses, task.classes if how.per_concept else None, min_separation=how.min_separation)
    clean.copy_(torch.from_numpy(found).float())


def remember(memory: torch.Tensor, values: torch.Tensor, batch: Batch, momentum: float) -> None:
    """Move the memory of the batch's rows towards the values; a row's first visit replaces it."""
    first = batch.first_visits()
    rows = batch.places[first]
    keep = momentum if batch.epoch >= 1 else 0.0
    memory[rows] = keep * memory[rows] + (1.0 - keep) * values.detach()[first]
