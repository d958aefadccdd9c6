"""Build the small network that judges folds: concepts, words and features of pixels, from filters that whiten the crawl's own patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

# Rows that tell how natural patches vary; of one patch's directions, those that vary less than this share of the strongest are noise.
WHITENING_ROWS, WHITENING_FLOOR = 5000, 5e-4
# Mean and spread of natural photographs in [0, 1]; only sets the scale at which the first layer starts.
PIXEL_MEAN, PIXEL_SPREAD = 0.45, 0.25


def whitening(images: np.ndarray, n_filters: int) -> torch.Tensor:
    """(n_filters, 3, 3, 3) float32: filters that whiten the images' patches, each beside its negative, the strongest first.

    images (m, side, side, 3) uint8. What a first layer would spend its first epochs on, in closed form (Jordan 2024,
    arXiv:2404.00498). Raises ValueError for an odd n_filters, or more than 54.
    """
    import torch

    if n_filters % 2 or not 2 <= n_filters <= 54:
        raise ValueError(f"the first width is {n_filters}: it must be even and at most 54, twice the numbers of a 3 x 3 patch")
    patches = to_tensor(images).unfold(2, 3, 1).unfold(3, 3, 1)[:, :, ::3, ::3].permute(0, 2, 3, 1, 4, 5).reshape(-1, 27).double()
    spread = patches - patches.mean(0)
    variances, directions = torch.linalg.eigh(spread.T @ spread / len(patches))
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))  # whose sign is free
    scaled = directions * largest.sign() / (variances + WHITENING_FLOOR * variances.max() + 1e-9).sqrt()
    chosen = scaled.flip(1)[:, : n_filters // 2].T.reshape(-1, 3, 3, 3).float()
    return torch.cat([chosen, -chosen])


def build_network(widths: tuple[int, ...], filters: torch.Tensor, n_targets: int, n_words: int) -> torch.nn.Module:
    """ResNet-9 in miniature: a fixed first layer, two residual blocks, three halvings, two linear heads on the pooled features.

    `widths` are the channels of the four levels, the first one the number of `filters`. It takes (m, 3, side, side) pixels and gives
    (logits (m, n_targets), logits of the words (m, n_words), features (m, last width)).
    """
    import torch
    from torch import nn

    def block(n_in: int, n_out: int, pool: bool = False) -> nn.Sequential:
        layers = [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)] + ([nn.MaxPool2d(2)] if pool else [])
        return nn.Sequential(*layers, nn.BatchNorm2d(n_out), nn.GELU())

    first, second, third, last = widths
    whitener = nn.Conv2d(3, first, 3, padding=1)
    with torch.no_grad():
        whitener.weight.copy_(filters)
        whitener.bias.zero_()  # type: ignore[union-attr]
    whitener.weight.requires_grad = False

    class SmallNetwork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(whitener, nn.GELU(), block(first, second, pool=True))
            self.early = nn.Sequential(block(second, second), block(second, second))
            self.middle = nn.Sequential(block(second, third, pool=True), block(third, last, pool=True))
            self.late = nn.Sequential(block(last, last), block(last, last))
            self.concept_head = nn.Linear(last, n_targets)
            self.word_head = nn.Linear(last, max(n_words, 1))

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            x = self.stem(pixels)
            x = self.middle(x + self.early(x))
            features = (x + self.late(x)).amax((2, 3))
            return self.concept_head(features), self.word_head(features)[:, :n_words], features

    return SmallNetwork()


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """(m, side, side, 3) uint8 -> (m, 3, side, side) float32 in channels-last memory, about zero mean and unit spread."""
    import torch

    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    return (pixels / 255 - PIXEL_MEAN) / PIXEL_SPREAD
