"""Tune a head on frozen features: NMTune's residual layer, held to the features it began with (Chen et al. 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

TOP_VALUES = 5  # singular values that are pushed up together (released code)


def nmtune_terms(tuned: torch.Tensor, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Consistency, covariance and dominant-singular-value terms of a batch, all smaller = better; tuned, features (b, d) float.

    Mean squared distance of the normalised rows; squared covariances off the diagonal over d; minus the mean of the largest singular
    values of the normalised rows' matrix (raw ones grow with length and batch).
    """
    import torch

    unit, before = (torch.nn.functional.normalize(rows, dim=1) for rows in (tuned, features))
    consistency = ((unit - before) ** 2).mean()
    covariance = torch.cov(tuned.T)
    apart = (covariance**2).sum() - (covariance.diagonal() ** 2).sum()
    dominant = -torch.linalg.svdvals(unit)[:TOP_VALUES].mean()
    return consistency, apart / tuned.shape[1], dominant


def tuned_head_accuracy(
    train: np.ndarray,
    classes: np.ndarray,
    test: np.ndarray,
    test_classes: np.ndarray,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    strengths: tuple[float, float, float],
    seed: int,
) -> float:
    """Share of right test rows by a linear classifier on h(f) = s * f + MLP(f), trained with cross-entropy and the three terms.

    train (n, d), test (m, d) float32, standardised here; `strengths` of the terms in the order of `nmtune_terms`.
    """
    import torch

    mean, spread = train.mean(0), np.maximum(train.std(0), 1e-6)
    x, held_out = (torch.from_numpy(((rows - mean) / spread).astype(np.float32)) for rows in (train, test))
    y, (n, d) = torch.from_numpy(classes), train.shape
    generator = torch.Generator().manual_seed(seed)
    weights = _weights(d, int(classes.max()) + 1, generator)
    moments = [(torch.zeros_like(weight), torch.zeros_like(weight)) for weight in weights]
    batch_size, step = min(batch_size, n), 0
    for _ in range(epochs):
        order = torch.randperm(n, generator=generator)
        for start in range(0, n - batch_size + 1, batch_size):
            rows, step = order[start : start + batch_size], step + 1
            tuned = _tune(x[rows], weights)
            loss = torch.nn.functional.cross_entropy(tuned @ weights[3] + weights[4], y[rows])
            loss = loss + sum(strength * term for strength, term in zip(strengths, nmtune_terms(tuned, x[rows]), strict=True))
            _adam(weights, moments, torch.autograd.grad(loss, weights), learning_rate, step)
    with torch.no_grad():
        predicted = (_tune(held_out, weights) @ weights[3] + weights[4]).argmax(1).numpy()
    return float(np.mean(predicted == test_classes))


def _weights(d: int, k: int, generator: Any) -> list[Any]:
    """Scale, the two layers of the residual, classifier and its bias; the residual begins near 0."""
    import torch

    first, second = torch.randn(d, 4 * d, generator=generator) * (2 / d) ** 0.5, torch.randn(4 * d, d, generator=generator) * 1e-3
    return [weight.requires_grad_() for weight in (torch.ones(d), first, second, torch.zeros(d, k), torch.zeros(k))]


def _tune(features: torch.Tensor, weights: list[Any]) -> torch.Tensor:
    found: torch.Tensor = weights[0] * features + (features @ weights[1]).relu() @ weights[2]
    return found


def _adam(weights: list[Any], moments: list[Any], gradients: Any, learning_rate: float, step: int) -> None:
    import torch

    with torch.no_grad():
        for weight, (mean, square), gradient in zip(weights, moments, gradients, strict=True):
            mean.lerp_(gradient, 0.1)
            square.lerp_(gradient**2, 0.001)
            weight -= learning_rate * (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
