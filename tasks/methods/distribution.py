"""Share a step between processes: each takes its part of every batch, and all end with the weights that one process would have.

The processes exchange logits, so that each of them computes the whole batch's loss; gradients flow back into a process' own part and
are summed. Whatever an objective chooses from the batch or remembers is so the same everywhere. Norms over the batch are synchronised.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class World:
    """Which process this is, of how many."""

    rank: int = 0
    size: int = 1

    def part(self, n: int) -> slice:
        """This process' rows of n. Raises ValueError unless n divides into as many even parts: pairs of rows are kept together."""
        if self.size > 1 and n % (2 * self.size):
            raise ValueError(f"batch_size {n} can't be shared by {self.size} processes: make it a multiple of {2 * self.size}")
        share = n // self.size
        return slice(self.rank * share, (self.rank + 1) * share)


@contextmanager
def joined(device: str) -> Iterator[tuple[World, str]]:
    """The world that torchrun made, and this process' device; a world of one without torchrun. The group is left at the end."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield World(), device
        return
    import torch
    import torch.distributed as group

    on_gpu = device != "cpu"
    local = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if on_gpu else "cpu"
    if on_gpu:
        torch.cuda.set_device(local)
    group.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield World(group.get_rank(), group.get_world_size()), local
    finally:
        group.destroy_process_group()


def wait_for_all(world: World) -> None:
    """Return when every process has come here."""
    if world.size > 1:
        import torch.distributed as group

        group.barrier()


def gathered(part: torch.Tensor, world: World) -> torch.Tensor:
    """All processes' parts (b, ...) below each other, in order of rank; gradients flow into this process' own part."""
    if world.size == 1:
        return part
    import torch
    import torch.distributed as group

    class Gather(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, own: torch.Tensor) -> torch.Tensor:
            parts = [torch.empty_like(own) for _ in range(world.size)]
            group.all_gather(parts, own.contiguous())
            return torch.cat(parts)

        @staticmethod
        def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
            return gradient[world.part(len(gradient))]

    found: torch.Tensor = Gather.apply(part)  # type: ignore[no-untyped-call]
    return found


def sum_gradients(parameters: Sequence[torch.Tensor], world: World) -> None:
    """Add up the gradients of all processes, in place; a parameter that took no part counts as 0."""
    if world.size == 1:
        return
    import torch
    import torch.distributed as group

    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([parameter.grad.flatten() for parameter in parameters])  # type: ignore[union-attr]
    group.all_reduce(flat)
    for parameter, values in zip(parameters, flat.split([parameter.numel() for parameter in parameters]), strict=True):
        parameter.grad.copy_(values.view_as(parameter))  # type: ignore[union-attr]


def synchronise_norms(module: torch.nn.Module, world: World) -> None:
    """Let every BatchNorm2d inside take mean and variance over the batches of all processes, in place; names of weights stay.

    Raises ValueError for a norm over the batch of another kind, such as one that holds its activation.
    """
    if world.size == 1:
        return
    import torch

    for child in module.modules():
        if type(child) is torch.nn.BatchNorm2d:
            child.forward = _synchronised(child, world)  # type: ignore[method-assign]
        elif isinstance(child, torch.nn.modules.batchnorm._BatchNorm):
            raise ValueError(
                f"{type(child).__name__} can't be synchronised between processes: use a backbone with BatchNorm2d or LayerNorm"
            )


def _synchronised(norm: Any, world: World) -> Any:
    import torch
    import torch.distributed as group

    class Sum(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, own: torch.Tensor) -> torch.Tensor:
            total = own.clone()
            group.all_reduce(total)
            return total

        @staticmethod
        def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
            total = gradient.clone()
            group.all_reduce(total)
            return total

    plain = norm.forward

    def forward(x: torch.Tensor) -> torch.Tensor:
        if not norm.training:
            still: torch.Tensor = plain(x)
            return still
        wide = x.float()
        n = float(x.numel() // x.shape[1] * world.size)
        mean = Sum.apply(wide.sum((0, 2, 3))) / n  # type: ignore[no-untyped-call]
        centred = wide - mean[:, None, None]
        variance = Sum.apply((centred**2).sum((0, 2, 3))) / n  # type: ignore[no-untyped-call]
        with torch.no_grad():
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(variance * n / (n - 1), norm.momentum)
            norm.num_batches_tracked += 1
        scale = norm.weight / (variance + norm.eps).sqrt()
        found: torch.Tensor = (centred * scale[:, None, None] + norm.bias[:, None, None]).to(x.dtype)
        return found

    return forward
