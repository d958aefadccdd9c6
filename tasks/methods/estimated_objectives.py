"""Train on what is estimated of the noise along the way: how much each row weighs in its concept, or what is given for what.

What is estimated rests on what the averaged weights predict, without gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.methods.loss_settings import ImpreciseLabels, LossRescaling
from tasks.methods.losses import cross_entropy, imbalance_penalty, soft_cross_entropy
from tasks.methods.objectives import Batch, Forward, Task

if TYPE_CHECKING:
    import torch

LEAST_SPREAD = 1e-2  # of margins; keeps the standard score of a concept whose rows are all alike finite
LEAST = 1e-12  # probability


class Rescale:
    """On-the-fly loss rescaling without a second network: weights from margins. They are scaled to a mean of 1 per concept, so that easy
    concepts, whose margins are all large, don't take over."""

    n_networks, views = 1, 1
    projection: tuple[int, ...] = ()

    def __init__(self, settings: LossRescaling, task: Task) -> None:
        import torch

        self._settings = settings
        self.tensors = {name: torch.zeros(task.n_classes, device=task.device) for name in ("margin", "square", "weight")}
        self.tensors["visits"] = torch.zeros(task.n_classes, dtype=torch.int64, device=task.device)

    def loss(self, batch: Batch, forward: Forward) -> torch.Tensor:
        margins, state = margin(forward(averaged=True).logits, batch.classes), self.tensors
        self._note("margin", margins, batch)
        self._note("square", margins**2, batch)
        spread = (state["square"] - state["margin"] ** 2).clamp(min=LEAST_SPREAD**2).sqrt()
        scores = ((margins - state["margin"][batch.classes]) / spread[batch.classes]).sigmoid()
        self._note("weight", scores, batch)
        state["visits"] += batch.classes.bincount(minlength=len(spread))
        losses = cross_entropy(forward().logits, batch.classes)
        if batch.epoch < self._settings.warmup_epochs:
            return batch.weighted_mean(losses)
        return batch.weighted_mean(losses * scores / state["weight"][batch.classes])

    def _note(self, name: str, values: torch.Tensor, batch: Batch) -> None:
        """Move a concept's mean towards that of its rows in the batch; its first rows replace it."""
        import torch

        kept, k = self.tensors[name], len(self.tensors[name])
        counts = batch.classes.bincount(minlength=k)
        means = torch.zeros_like(kept).index_add(0, batch.classes, values.to(kept.dtype)) / counts.clamp(min=1)
        momentum = self._settings.momentum * (self.tensors["visits"] > 0)
        kept.copy_(torch.where(counts > 0, momentum * kept + (1 - momentum) * means, kept))


class Latent:
    """Imprecise label learning for noisy labels (Chen et al. 2023): the expectation on one view of a picture, the maximisation on another.

    The matrix is re-estimated from expected counts, where the released code takes gradient steps on it.
    """

    n_networks, views = 1, 2
    projection: tuple[int, ...] = ()

    def __init__(self, settings: ImpreciseLabels, task: Task) -> None:
        import torch

        self._settings = settings
        k, trust = task.n_classes, settings.initial_trust
        eye = torch.eye(k, device=task.device)
        self.tensors = {"joint": (trust * eye + (1 - trust) / max(k - 1, 1) * (1 - eye)) / k}

    def loss(self, batch: Batch, forward: Forward) -> torch.Tensor:
        import torch

        how, joint, strong = self._settings, self.tensors["joint"], forward().logits[1::2]
        if batch.epoch < how.warmup_epochs:
            return batch.weighted_mean(cross_entropy(strong, batch.classes))
        weak = forward(averaged=True).logits[0::2].softmax(1)
        given = transition(joint)[:, batch.classes].T.to(weak.dtype)
        expected = posterior(weak, given)
        counts = torch.zeros_like(joint).index_add(1, batch.classes, expected.T.to(joint.dtype)) / len(expected)
        joint.copy_(how.momentum * joint + (1 - how.momentum) * counts)
        told = soft_cross_entropy(strong + given.clamp(min=LEAST).log(), expected)
        seen = -torch.logsumexp(strong.log_softmax(1) + given.clamp(min=LEAST).log(), 1)
        losses = told + seen + soft_cross_entropy(strong, weak)
        return batch.weighted_mean(losses) + how.balance * imbalance_penalty(strong)


def margin(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """(n,) in [-1, 1]: probability of the given class less that of the likeliest other one; 1 = sure of it."""
    probabilities = logits.softmax(1)
    given = probabilities.gather(1, classes[:, None])[:, 0]
    others = probabilities.scatter(1, classes[:, None], -1.0).amax(1)
    return given - others


def transition(joint: torch.Tensor) -> torch.Tensor:
    """(k, k): the probability of each given concept (columns) for each true one (rows), out of their joint shares."""
    return joint / joint.sum(1, keepdim=True).clamp(min=LEAST)


def posterior(prior: torch.Tensor, likelihood: torch.Tensor) -> torch.Tensor:
    """(n, k), rows sum to 1: prior times likelihood."""
    product = prior * likelihood
    return product / product.sum(1, keepdim=True).clamp(min=LEAST)
