"""Train from features that were learnt without labels: RCAL's calibration of representations (Zhang et al. 2023).

Of the method's parts all but mixup. The features are those that the network starts with, so the arm needs a start without labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tasks.methods.class_gaussians import lacking, recover
from tasks.methods.feature_settings import RepresentationCalibration
from tasks.methods.losses import cross_entropy
from tasks.methods.objectives import Batch, Forward, Output, Task

if TYPE_CHECKING:
    import torch


class Recover:
    """Cross-entropy of the pictures and of as many virtual rows, drawn from the recovered distributions of the concepts' features at the
    start so that concepts come out even; and a squared distance that keeps the pictures' features near those of the start.

    The distance is in units of the start's variance, so that its strength holds for any backbone. What is remembered takes n * width and
    k * width^2 numbers.
    """

    n_networks, views = 1, 1
    projection: tuple[int, ...] = ()

    def __init__(self, settings: RepresentationCalibration, task: Task) -> None:
        import torch

        if task.features is None:
            raise ValueError("representation_calibration recovers distributions of features: pass what gives those of the start")
        self._settings, features = settings, task.features()
        how = {"outlier_share": settings.outlier_share, "head_rows": settings.head_rows, "n_heads": settings.n_heads}
        found = recover(features, task.classes, task.n_classes, spread=settings.spread, **how)  # type: ignore[arg-type]
        self._shares = lacking(np.bincount(task.classes, minlength=task.n_classes), settings.virtual_share)
        factors = np.zeros_like(found.covariances)
        factors[found.counts > 0] = np.linalg.cholesky(found.covariances[found.counts > 0])
        remembered = {"features": features, "means": found.means, "factors": factors, "variance": features.var(0).sum()}
        self.tensors = {name: torch.as_tensor(values, dtype=torch.float32).to(task.device) for name, values in remembered.items()}

    def loss(self, batch: Batch, forward: Forward) -> torch.Tensor:
        how, state, output = self._settings, self.tensors, forward(features=True)
        losses = (1 - how.virtual_share) * cross_entropy(output.logits, batch.classes)
        squares = ((features_of(output) - state["features"][batch.places]) ** 2).sum(1)
        losses = losses + how.closeness * squares / state["variance"]
        virtual, classes = self._draw(batch)
        return batch.weighted_mean(losses) + how.virtual_share * cross_entropy(forward.classify(virtual), classes).mean()

    def _draw(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Virtual rows (b, width) and their classes (b,)."""
        import torch

        means, factors = self.tensors["means"], self.tensors["factors"]
        drawn = batch.generator.choice(len(means), len(batch.places), p=self._shares)
        noise = batch.generator.standard_normal((len(drawn), means.shape[1]))
        classes, normal = torch.from_numpy(drawn).to(means.device), torch.from_numpy(noise).to(means)
        virtual = means[classes]
        for concept in np.unique(drawn).tolist():
            rows = classes == concept
            virtual[rows] += normal[rows] @ factors[concept].T
        return virtual, classes


def features_of(output: Output) -> torch.Tensor:
    """The features below the head. Raises ValueError where they were not asked for."""
    if output.features is None:
        raise ValueError("this loss needs the features below the head: ask the network for them")
    return output.features
