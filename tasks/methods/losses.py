"""Score predictions against concepts that may be wrong: one loss per sample out of logits and given classes.

Every loss takes logits (n, k) float and classes (n,) int64 and returns (n,) losses, smaller = better, differentiable in the logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

# Probabilities are kept this far from 0 and 1 before they enter the memory (Liu et al. 2020, released code).
CLIP = 1e-4
# Stands for log 0 in the reverse cross-entropy: log 1e-4 (Wang et al. 2019, released code).
LOG_ZERO = -9.210340371976182


def cross_entropy(logits: torch.Tensor, classes: torch.Tensor, *, label_smoothing: float = 0.0) -> torch.Tensor:
    """-log p of the given class; with smoothing, that share of the target is spread evenly over all k classes."""
    import torch

    return torch.nn.functional.cross_entropy(logits, classes, reduction="none", label_smoothing=label_smoothing)


def soft_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """-sum of target * log p; targets (n, k) float, rows sum to 1, no gradient."""
    return -(targets * logits.log_softmax(1)).sum(1)


def generalised_cross_entropy(logits: torch.Tensor, classes: torch.Tensor, *, q: float, truncation: float = 0.0) -> torch.Tensor:
    """(1 - p^q) / q of the given class (Zhang and Sabuncu 2018): cross-entropy for q near 0, absolute error for q = 1.

    Where p is at most `truncation` the loss is the constant (1 - truncation^q) / q, without a gradient.
    """
    import torch

    log_given = logits.log_softmax(1).gather(1, classes[:, None])[:, 0]
    losses = (1.0 - (q * log_given).exp()) / q
    if truncation:
        losses = torch.where(log_given.exp() <= truncation, torch.full_like(losses, (1.0 - truncation**q) / q), losses)
    return losses


def reverse_cross_entropy(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """-sum of p * log target with log 0 = log 1e-4, that is 9.21 * (1 - p of the given class) (Wang et al. 2019)."""
    return -LOG_ZERO * (1.0 - logits.softmax(1).gather(1, classes[:, None])[:, 0])


def symmetric_cross_entropy(
    logits: torch.Tensor, classes: torch.Tensor, *, forward_strength: float, reverse_strength: float
) -> torch.Tensor:
    """Cross-entropy and its reverse, each with its strength (Wang et al. 2019)."""
    return forward_strength * cross_entropy(logits, classes) + reverse_strength * reverse_cross_entropy(logits, classes)


def distillation_loss(logits: torch.Tensor, targets: torch.Tensor, *, temperature: float) -> torch.Tensor:
    """Cross-entropy with a teacher's probabilities (n, k), both at a temperature, times its square so that gradients keep their size
    (Hinton et al. 2015, section 2)."""
    softened = targets ** (1.0 / temperature)
    return temperature**2 * soft_cross_entropy(logits / temperature, softened / softened.sum(1, keepdim=True))


def view_contrast(projected: torch.Tensor, *, temperature: float) -> torch.Tensor:
    """(2b,) losses: NT-Xent of Chen et al. 2020, eq. 1. Each view has to find its fellow among all others, itself left out.

    projected (2b, w) float, L2-normalised; rows 2i and 2i + 1 are the views of one picture.
    """
    import torch

    itself = torch.eye(len(projected), dtype=torch.bool, device=projected.device)
    similarity = (projected @ projected.T / temperature).masked_fill(itself, float("-inf"))
    return cross_entropy(similarity, torch.arange(len(projected), device=projected.device) ^ 1)


def one_against_rest(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """-log o of the given class and the largest -log(1 - o) of the others, o = sigmoid of logits (n, k): one binary classifier per
    concept, of which the most mistaken one is taught what it is not (Saito and Saenko 2021)."""
    import torch

    own = torch.nn.functional.softplus(-logits.gather(1, classes[:, None])[:, 0])
    others = torch.nn.functional.softplus(logits).scatter(1, classes[:, None], 0.0)
    return own + others.amax(1)


def imbalance_penalty(logits: torch.Tensor) -> torch.Tensor:
    """KL of the uniform distribution from the batch's mean prediction, one number; 0 = even (Li et al. 2020)."""
    import torch

    k = logits.shape[1]
    mean = torch.logsumexp(logits.log_softmax(1), 0) - torch.tensor(float(len(logits)), dtype=logits.dtype, device=logits.device).log()
    return -mean.mean() - torch.tensor(float(k), dtype=logits.dtype, device=logits.device).log()


def elr_term(logits: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
    """log(1 - <t, p>), the early-learning regulariser of Liu et al. 2020, eq. 6; added to cross-entropy with a strength.

    memory (n, k) float: the targets t, no gradient. Where the given class contradicts what the network said early on, this term's
    gradient cancels that of cross-entropy; where the two agree it amplifies it.
    """
    return (1.0 - (memory * clipped_softmax(logits)).sum(1)).log()


def elr_memory(memory: torch.Tensor, logits: torch.Tensor, *, momentum: float) -> torch.Tensor:
    """The memory after one more visit: momentum * t + (1 - momentum) * p, without gradient (Liu et al. 2020, eq. 9)."""
    return momentum * memory + (1.0 - momentum) * clipped_softmax(logits.detach())


def clipped_softmax(logits: torch.Tensor) -> torch.Tensor:
    """(n, k) probabilities, none below CLIP or above 1 - CLIP, rows sum to 1."""
    probabilities = logits.softmax(1).clamp(CLIP, 1.0 - CLIP)
    return probabilities / probabilities.sum(1, keepdim=True)


def logit_offsets(priors: np.ndarray, *, strength: float) -> np.ndarray:
    """strength * log of each class's share: what is added to the logits in training (Menon et al. 2021, eq. 10; 1 = balanced softmax).

    priors (k,) float, class shares or counts. A class without samples gets the offset of half a sample's share. Raises ValueError
    for negative or all-zero priors.
    """
    priors = np.asarray(priors, np.float64)
    if (priors < 0).any() or priors.sum() <= 0:
        raise ValueError(f"priors must be non-negative with a positive sum, got {priors.tolist()}: pass the class counts")
    floor = priors[priors > 0].min() / 2
    shares = np.maximum(priors, floor)
    offsets: np.ndarray = strength * np.log(shares / priors.sum())
    return offsets
