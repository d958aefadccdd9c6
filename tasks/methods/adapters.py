"""Adapt a pretrained model: changes of low rank, trained in place of its weights and merged into them at the end (Hu et al. 2022, LoRA)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tasks.methods.clip import Pretrained, has_plain_tokenizer, pretrained_model

if TYPE_CHECKING:
    import torch


def add_adapters(model: Any, *, rank: int, strength: float, seed: int) -> int:
    """Freeze a model and let its linear layers, convolutions and attentions be changed by matrices of a rank; how many numbers train.

    W becomes W + strength / rank * B A (eq. 3, for convolutions with W as a matrix of outputs by inputs); A is drawn from the seed, B is 0,
    so that nothing is changed at first. Weights with no side longer than the rank are left as they are. Raises ValueError for a model
    without a weight to adapt.
    """
    import torch
    from torch.nn.utils.parametrize import register_parametrization

    class LowRank(torch.nn.Module):
        def __init__(self, weight: torch.Tensor) -> None:
            super().__init__()
            rows, columns = len(weight), weight[0].numel()
            self.down = torch.nn.Parameter(torch.randn(rank, columns, generator=generator) / columns**0.5)
            self.up = torch.nn.Parameter(torch.zeros(rows, rank))

        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            change: torch.Tensor = strength / rank * (self.up @ self.down)
            return weight + change.view_as(weight)

    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    found = [(module, name) for module, name in _weights(model) if min(len(getattr(module, name)), getattr(module, name)[0].numel()) > rank]
    if not found:
        raise ValueError(f"the model has no weight with more than {rank} rows and columns to adapt: lower adapter_rank")
    for module, name in found:
        register_parametrization(module, name, LowRank(getattr(module, name)))
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def adaptable_model(name: str, pretrained: str | None, *, rank: int, strength: float, seed: int) -> Pretrained:
    """A model by open_clip's name and tag with adapters. Raises ValueError for one that can't be had, or whose texts can't be."""
    found = pretrained_model(name, pretrained)
    if not has_plain_tokenizer(found):
        raise ValueError(f"model '{name}' has a tokenizer of its own: adapters are trained with open_clip's only, take such a model")
    add_adapters(found.model, rank=rank, strength=strength, seed=seed)
    return found


def merge_adapters(model: Any) -> None:
    """Write the changes into the weights, in place: the model has its old names and can be trained whole again."""
    from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

    for module, name in list(_weights(model)):
        if is_parametrized(module, name):
            remove_parametrizations(module, name, leave_parametrized=True)
    model.requires_grad_(True)


def hold_frozen_norms(model: torch.nn.Module) -> None:
    """Let every norm over the batch whose weights are frozen keep its mean and variance, in a model that is in training."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.affine and not module.weight.requires_grad:
            module.eval()


def _weights(model: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, str]]:
    """Modules and the names of their matrices."""
    import torch

    for module in model.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            yield module, "weight"
        elif isinstance(module, torch.nn.MultiheadAttention) and module.in_proj_weight is not None:
            yield module, "in_proj_weight"
