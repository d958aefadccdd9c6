"""Join what is trained together: one or two networks and, if an objective asks for it, a projection, as one module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def build_learner(networks: Sequence[torch.nn.Module], *, projection: Sequence[int], seed: int) -> Any:
    """A module whose call (network, pixels, mask) gives logits (b, k), the projected features (b, w) or None, and the features (b, width).

    `networks` are those of `build_network`; the projection is of the first one's features, `projection` the widths of its layers, with
    ReLU between them, its weights drawn from the seed. Without layers there is none.
    """
    import torch
    from torch import nn

    class Learner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.networks = nn.ModuleList(networks)
            self.projection = _projection(feature_width(networks[0]), projection) if projection else None

        def forward(
            self, network: int, pixels: torch.Tensor, mask: torch.Tensor | None
        ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
            chosen: Any = self.networks[network]
            features = chosen.features(pixels)
            logits = chosen.head(features if mask is None else features * mask)
            return logits, self.projection(features).float() if self.projection is not None else None, features

    if projection:
        torch.manual_seed(seed)
    return Learner()


def _projection(width: int, layers: Sequence[int]) -> torch.nn.Module:
    from torch import nn

    *hidden, last = layers
    stack: list[nn.Module] = []
    for size in hidden:
        stack += [nn.Linear(width, size), nn.ReLU()]
        width = size
    out = nn.Linear(width, last, bias=False)
    return nn.Sequential(*stack, out) if stack else out


def feature_width(network: Any) -> int:
    """How many numbers the head of a network takes."""
    return int(network.head.in_features)


def n_classes(network: Any) -> int:
    """How many concepts the head of a network tells apart."""
    return int(network.head.out_features)


def keep_features(network: Any, n: int) -> None:
    """Let the head use the first n features only, in place."""
    import torch

    with torch.no_grad():
        network.head.weight[:, n:] = 0.0


def candidate_sizes(width: int) -> list[int]:
    """The numbers of features that are tried at the end: powers of two below the width, and the width."""
    return [*(2**power for power in range(width.bit_length()) if 2**power < width), width]
