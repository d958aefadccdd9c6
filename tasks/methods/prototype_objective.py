"""Train towards prototypes: CAPro's prototype contrast, its rule about labels, and collective bootstrapping (Qin et al. 2023).

Of the method's parts those that need no second view of a picture and no text: no instance contrast, and the queue's keys come from the
network itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.methods.loss_settings import PrototypeContrast
from tasks.methods.losses import cross_entropy, soft_cross_entropy
from tasks.methods.objectives import Batch, Forward, Output, Task

if TYPE_CHECKING:
    import torch

EMPTY = 1e-7  # weight of a key that points away: the sum is never 0


class Contrast:
    """Cross-entropy and prototype contrast under corrected labels, and a share of the target from the pictures seen before."""

    n_networks, views = 1, 1

    def __init__(self, settings: PrototypeContrast, task: Task) -> None:
        import torch

        self._settings = settings
        self.projection: tuple[int, ...] = (settings.width,)
        self._min_given = settings.min_given or 1.0 / task.n_classes
        k, width, queue, on = task.n_classes, settings.width, settings.queue, task.device
        self.tensors = {
            "prototypes": torch.zeros(k, width, device=on),
            "keys": torch.zeros(queue, width, device=on),
            "beliefs": torch.zeros(queue, k, device=on),
            "queued": torch.zeros((), dtype=torch.int64),
        }

    def loss(self, batch: Batch, forward: Forward) -> torch.Tensor:
        how, state, output = self._settings, self.tensors, forward()
        logits, z = output.logits, projected_of(output)
        scores = z @ state["prototypes"].clone().T / how.temperature
        mixed = how.classifier_share * logits.softmax(1) + (1.0 - how.classifier_share) * scores.softmax(1)
        mixed = mixed.detach() if batch.epoch >= how.prototype_epochs else logits.detach().softmax(1)
        classes, kept = batch.classes, batch.weights > 0
        if batch.epoch >= how.cleaning_epochs:
            classes, keep = corrected(mixed, classes, min_correction=how.min_correction, min_given=self._min_given)
            kept = kept & keep
        losses = cross_entropy(logits, classes)
        if batch.epoch >= how.prototype_epochs:
            losses = losses + cross_entropy(scores, classes)
            n = min(int(state["queued"]), how.queue)
            if n and how.bootstrap:
                reference = bootstrapped(z.detach(), state["keys"][:n], state["beliefs"][:n])
                losses = losses + how.bootstrap * (soft_cross_entropy(logits, reference) - cross_entropy(logits, classes))
        weights = batch.weights * kept
        self._enqueue(z.detach(), mixed)
        state["prototypes"].copy_(moved(state["prototypes"], z.detach()[kept], classes[kept], momentum=how.momentum))
        return (weights * losses).sum() / weights.sum().clamp(min=1e-12)

    def _enqueue(self, z: torch.Tensor, beliefs: torch.Tensor) -> None:
        import torch

        count = int(self.tensors["queued"])
        places = (torch.arange(len(z)) + count) % self._settings.queue
        places, z, beliefs = places[-self._settings.queue :], z[-self._settings.queue :], beliefs[-self._settings.queue :]
        self.tensors["keys"][places] = z
        self.tensors["beliefs"][places] = beliefs
        self.tensors["queued"] += len(z)


def corrected(mixed: torch.Tensor, classes: torch.Tensor, *, min_correction: float, min_given: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Classes (n,) after correction and whether each row is kept (n,) bool, by the mixed probabilities (n, k).

    A probability of at least min_correction gives the label; else the given one stays if it has at least min_given; else the row is
    dropped.
    """
    import torch

    top, likeliest = mixed.max(1)
    given = mixed.gather(1, classes[:, None])[:, 0]
    sure = top >= min_correction
    return torch.where(sure, likeliest, classes), sure | (given >= min_given)


def bootstrapped(queries: torch.Tensor, keys: torch.Tensor, beliefs: torch.Tensor) -> torch.Tensor:
    """(n, k) soft targets: the beliefs (q, k) of earlier pictures, weighted by max(0, cosine) of their keys (q, w) to queries (n, w)."""
    weights = (queries @ keys.T).clamp(min=0) + EMPTY
    targets = (weights / weights.sum(1, keepdim=True)) @ beliefs
    return targets / targets.sum(1, keepdim=True).clamp(min=1e-12)


def moved(prototypes: torch.Tensor, z: torch.Tensor, classes: torch.Tensor, *, momentum: float) -> torch.Tensor:
    """Prototypes (k, w) after samples z (n, w): per concept norm(m^c * old + (1 - m^c) * mean), c its samples; unseen ones stay."""
    import torch

    k = len(prototypes)
    counts = torch.bincount(classes, minlength=k).to(z.dtype)[:, None]
    means = torch.zeros_like(prototypes).index_add_(0, classes, z) / counts.clamp(min=1)
    keep = momentum**counts
    mixed = torch.nn.functional.normalize(keep * prototypes + (1.0 - keep) * means, dim=1)
    return torch.where(counts > 0, mixed, prototypes)


def projected_of(output: Output) -> torch.Tensor:
    """The projected features, L2-normalised. Raises ValueError where the network has no projection."""
    import torch

    if output.projected is None:
        raise ValueError("this loss needs a projection: build the learner with one")
    return torch.nn.functional.normalize(output.projected, dim=1)
