"""The optimizers against torch.optim's, step by step."""

from typing import Any

import pytest
import torch

from tasks.methods.optimizers import build_optimizer, clip_gradients


def parameters() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in ((4, 3), (3,))]


def loss(first: torch.Tensor, second: torch.Tensor, step: int) -> torch.Tensor:
    return ((first @ second - step) ** 2).sum() + (first**4).sum()


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_twenty_steps_agree_with_torch(name: str) -> None:
    ours, theirs = parameters(), parameters()
    optimizer = build_optimizer(name, ours, weight_decay=0.1)
    groups: Any = [{"params": theirs[:1], "weight_decay": 0.1}, {"params": theirs[1:], "weight_decay": 0.0}]
    reference: torch.optim.Optimizer = torch.optim.SGD(groups, momentum=0.9, nesterov=True) if name == "sgd" else torch.optim.AdamW(groups)
    for step in range(20):
        rate = 0.002 / (1 + step)
        for weights in (ours, theirs):
            for weight in weights:
                weight.grad = None
            loss(*weights, step=step).backward()  # type: ignore[no-untyped-call]
        for group in reference.param_groups:
            group["lr"] = rate
        optimizer.step(rate)
        reference.step()
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)
    assert not torch.equal(ours[0], parameters()[0])


def test_gradients_are_scaled_down_to_the_norm() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    assert clip_gradients([weight], 0.0) == pytest.approx(5.0)
    assert weight.grad.tolist() == [3.0, 4.0]
    assert clip_gradients([weight], 1.0) == pytest.approx(5.0)
    assert weight.grad.tolist() == pytest.approx([0.6, 0.8])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="optimizer 'lion' is unknown: use sgd or adamw"):
        build_optimizer("lion", [], weight_decay=0.0)
