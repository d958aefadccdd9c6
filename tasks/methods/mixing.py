"""Mix and mask a batch: pairs blended into one another, and features dropped from the last one on.

A row's partner is its neighbour in the batch, whose order is random already; so a batch that is shared out in even parts is mixed as a
whole one is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def draw_blend(generator: np.random.Generator, parameter: float) -> float:
    """How much of itself a row keeps: the larger part of a draw from Beta(parameter, parameter); 0 = all of it.

    Mixup (Zhang et al. 2018) with the larger part kept (Berthelot et al. 2019), so that a row's own target leads.
    """
    if parameter <= 0:
        return 1.0
    share = float(generator.beta(parameter, parameter))
    return max(share, 1.0 - share)


def blend(values: torch.Tensor, own: float) -> torch.Tensor:
    """own * v + (1 - own) * its partner's v, along the first axis; of an odd number the last row is its own partner."""
    import torch

    if own >= 1.0:
        return values
    partners = torch.arange(len(values), device=values.device) ^ 1
    return own * values + (1.0 - own) * values[partners.clamp(max=len(values) - 1)]


def nested_sizes(n: int, width: int, spread: float, generator: np.random.Generator) -> np.ndarray:
    """(n,) int64 in [1, width]: how many leading features each row keeps, P(k) ~ exp(-k^2 / (2 spread^2)) (Chen et al. 2021)."""
    log_weight = -(np.arange(1, width + 1, dtype=np.float64) ** 2) / (2 * spread**2)
    heights = np.cumsum(np.exp(log_weight - log_weight.max()))
    return np.searchsorted(heights / heights[-1], generator.random(n), side="right").astype(np.int64).clip(0, width - 1) + 1


def nested_mask(sizes: np.ndarray, width: int) -> np.ndarray:
    """(n, width) float32: 1 for the features that are kept, the first ones, 0 for the rest."""
    mask: np.ndarray = (np.arange(width) < sizes[:, None]).astype(np.float32)
    return mask
