"""Train on rows that may show none of the concepts: IOMatch's open-set targets (Li et al. 2023).

The method is for few labelled and many unlabelled pictures. Here the unlabelled ones are those whose given concept is doubted: the rows
that small loss calls noisy, split anew whenever an epoch begins. None of them is dropped: what shows no concept is taught as that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.methods.feature_settings import OpenTargets
from tasks.methods.losses import cross_entropy, one_against_rest, soft_cross_entropy
from tasks.methods.objectives import Batch, Forward, Output, Task
from tasks.methods.split_objectives import remember, split

if TYPE_CHECKING:
    import torch

MOMENTUM = 0.99  # of the mean prediction, over some 100 batches, where the paper has a queue of 128
LEAST = 1e-6  # probability; keeps what is divided by it finite


class Unify:
    """Cross-entropy of the trusted rows; of the doubted ones with the predicted concept, where that is sure and in the set; and open-set
    targets for all. What is predicted on one view of a picture, by the averaged weights, is taught on the other one.

    Behind a hidden layer of the features stand k binary classifiers, which say whether a picture shows each concept, and one of k + 1
    concepts, the last one for none of them. They shape the features; what is kept in the end is the classifier of the k concepts.
    Predicted concepts are aligned to the shares of the given ones, which the paper takes to be even.
    """

    n_networks, views = 1, 2

    def __init__(self, settings: OpenTargets, task: Task) -> None:
        import torch

        self._settings, self._task = settings, task
        n, k = task.n_rows, task.n_classes
        self.projection: tuple[int, ...] = (settings.width, 2 * k + 1)
        shares = torch.bincount(torch.from_numpy(task.classes), minlength=k) / n
        self._shares = shares.float().to(task.device)
        self.tensors = {
            "predictions": torch.full((n, k), 1.0 / k, device=task.device),
            "clean": torch.ones(n, device=task.device),
            "mean": self._shares.clone(),
        }

    def loss(self, batch: Batch, forward: Forward) -> torch.Tensor:
        import torch

        how, rows, state = self._settings, batch.places, self.tensors
        if batch.new_epoch and batch.epoch >= how.warmup_epochs:
            split(state["predictions"], state["clean"], self._task, how)
        seen, told = forward(averaged=True), forward()
        predicted = seen.logits[0::2].softmax(1)
        remember(state["predictions"], predicted, batch, how.momentum)
        state["mean"].copy_(MOMENTUM * state["mean"] + (1 - MOMENTUM) * predicted.mean(0))
        logits, (binary, open_set) = told.logits[1::2], heads_of(told)
        given = cross_entropy(logits, batch.classes) + how.open_strength * one_against_rest(binary[1::2], batch.classes)
        if batch.epoch < how.warmup_epochs:
            return batch.weighted_mean(given)
        closed = aligned(predicted, self._shares, state["mean"])
        targets = open_targets(closed, heads_of(seen)[0][0::2].sigmoid())
        sure = (closed.amax(1) >= how.min_closed) & (targets[:, -1] < 0.5)
        losses = torch.where(state["clean"][rows] > how.min_clean, given, sure * soft_cross_entropy(logits, closed))
        taught = (targets.amax(1) >= how.min_open) * soft_cross_entropy(open_set[1::2], targets)
        return batch.weighted_mean(losses + how.open_strength * taught)


def heads_of(output: Output) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (b, k) of the binary classifiers and (b, k + 1) of the open-set one. Raises ValueError where the network has no such heads."""
    k = output.logits.shape[1]
    if output.projected is None or output.projected.shape[1] != 2 * k + 1:
        raise ValueError(f"open-set targets need {2 * k + 1} outputs beside the logits: build the learner with the objective's projection")
    return output.projected[:, :k], output.projected[:, k:]


def aligned(probabilities: torch.Tensor, shares: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Probabilities (n, k) times what the concepts' shares (k,) are of the mean prediction (k,), rows summing to 1 again."""
    scaled = probabilities * (shares + LEAST) / (mean + LEAST)
    return scaled / scaled.sum(1, keepdim=True)


def open_targets(closed: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """(n, k + 1) targets, rows sum to 1: each concept's probability (n, k) times that it is shown (n, k); the rest is none of them.

    Li et al. 2023: q_k = p_k o_k, and q of none of them the sum of p_k (1 - o_k).
    """
    import torch

    return torch.cat([closed * shown, (closed * (1 - shown)).sum(1, keepdim=True)], 1)
