"""Move weights: stochastic gradient descent with momentum, and AdamW, the same steps as torch.optim's.

torch.optim imports torch's compiler on first use, which costs every training process three seconds; and here the state is plain
tensors by name, ready for a checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

MOMENTUM = 0.9
BETAS, EPSILON = (0.9, 0.999), 1e-8


class Optimizer(Protocol):
    """`tensors` are the state; `step` moves the parameters along their gradients, which it may change."""

    tensors: dict[str, torch.Tensor]

    def step(self, learning_rate: float) -> None: ...


class Sgd:
    """Nesterov momentum (Sutskever et al. 2013) with L2 decay of all parameters but vectors (biases, norms)."""

    def __init__(self, parameters: Sequence[torch.Tensor], *, weight_decay: float) -> None:
        import torch

        self._parameters, self._decay = list(parameters), weight_decay
        self.tensors = {f"velocity.{i}": torch.zeros_like(p) for i, p in enumerate(self._parameters)}

    def step(self, learning_rate: float) -> None:
        import torch

        with torch.no_grad():
            for parameter, velocity in zip(self._parameters, self.tensors.values(), strict=True):
                gradient = _gradient(parameter)
                if parameter.ndim > 1:
                    gradient = gradient.add(parameter, alpha=self._decay)
                velocity.mul_(MOMENTUM).add_(gradient)
                parameter.add_(gradient.add(velocity, alpha=MOMENTUM), alpha=-learning_rate)


class AdamW:
    """Adam with decay apart from the gradient (Loshchilov and Hutter 2019), of all parameters but vectors (biases, norms)."""

    def __init__(self, parameters: Sequence[torch.Tensor], *, weight_decay: float) -> None:
        import torch

        self._parameters, self._decay = list(parameters), weight_decay
        names = [f"{kind}.{i}" for kind in ("mean", "square") for i in range(len(self._parameters))]
        self.tensors = {name: torch.zeros_like(self._parameters[int(name.split(".")[1])]) for name in names}
        self.tensors["steps"] = torch.zeros((), dtype=torch.int64)

    def step(self, learning_rate: float) -> None:
        import torch

        self.tensors["steps"] += 1
        first, second = (1 - beta ** int(self.tensors["steps"]) for beta in BETAS)
        with torch.no_grad():
            for i, parameter in enumerate(self._parameters):
                mean, square, gradient = self.tensors[f"mean.{i}"], self.tensors[f"square.{i}"], _gradient(parameter)
                if parameter.ndim > 1:
                    parameter.mul_(1 - learning_rate * self._decay)
                mean.lerp_(gradient, 1 - BETAS[0])
                square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
                parameter.addcdiv_(mean, (square / second).sqrt_().add_(EPSILON), value=-learning_rate / first)


def build_optimizer(name: str, parameters: Sequence[torch.Tensor], *, weight_decay: float) -> Optimizer:
    """The optimizer of that name, `sgd` or `adamw`. Raises ValueError for another."""
    if name == "sgd":
        return Sgd(parameters, weight_decay=weight_decay)
    if name == "adamw":
        return AdamW(parameters, weight_decay=weight_decay)
    raise ValueError(f"optimizer '{name}' is unknown: use sgd or adamw")


def clip_gradients(parameters: Sequence[torch.Tensor], max_norm: float) -> float:
    """The gradients' norm over all parameters before they are scaled down to `max_norm`; 0 = never scaled."""
    import torch

    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
    if 0 < max_norm < norm < float("inf"):
        for gradient in gradients:
            gradient.mul_(max_norm / norm)
    return norm


def _gradient(parameter: torch.Tensor) -> torch.Tensor:
    import torch

    return parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
