"""Compile: a function of one tensor as fused kernels of its own, by torch.compile, ready before its first use."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import SubprocessError
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Compile = Literal["never", "on_card", "always"]


class CompileError(RuntimeError):
    """A function can't be compiled here: no compiler, say."""


def compiled(function: Callable[[torch.Tensor], torch.Tensor], example: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function, compiled for tensors of the example's shape, strides and dtype alone; called once, so that no later call waits.

    What the caller has set (gradients, autocast, threads) is compiled in. Raises CompileError.
    """
    import torch

    # One static shape: kernels for any shape are tuned to the shape seen first, and results would depend on the order of batches.
    # Nor may a stopwatch choose between kernels. Torch before 2.9 doesn't know that option; no stopwatch chose by default there.
    options = {"deterministic": True} if "deterministic" in torch._inductor.list_options() else None
    made: Callable[[torch.Tensor], torch.Tensor] = torch.compile(function, dynamic=False, options=options)  # type: ignore[arg-type]
    try:
        made(example)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, OSError, SubprocessError) as error:
        raise CompileError(str(error).strip() or type(error).__name__) from None
    return made
