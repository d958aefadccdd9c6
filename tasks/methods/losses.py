"""Score predictions against concepts that may be wrong: one loss per sample out of logits and given classes.

Every loss takes logits (n, k) float and classes (n,) int64 and returns (n,) losses, smaller = better, differentiable in the logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

LOSSES = ("cross_entropy", "elr")
# Probabilities are kept this far from 0 and 1 before they enter the memory (Liu et al. 2020, released code).
CLIP = 1e-4


def cross_entropy(logits: torch.Tensor, classes: torch.Tensor, *, label_smoothing: float = 0.0) -> torch.Tensor:
    """-log p of the given class; with smoothing, that share of the target is spread evenly over all k classes."""
    import torch

    return torch.nn.functional.cross_entropy(logits, classes, reduction="none", label_smoothing=label_smoothing)


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
