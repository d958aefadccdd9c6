"""Two networks that learn from each other: whose word counts for whom."""

import math

import pytest
import torch

from tasks.methods.loss_settings import CoTeaching, EarlyLearningPlus
from tasks.methods.losses import elr_memory
from tasks.methods.objectives import build_objective
from tests.tasks.methods.test_objectives import TASK, batch_of, forward_of

K = TASK.n_classes


def logits_with_losses(values: list[float]) -> torch.Tensor:
    """Logits whose cross-entropy at rows 0, 1, 2, ... (classes 0, 1, 2, 0, ...) is as given."""
    rows = []
    for place, value in enumerate(values):
        p = math.exp(-value)
        row = [(1 - p) / (K - 1)] * K
        row[place % K] = p
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64).log()


def test_each_network_learns_from_the_rows_that_the_other_finds_easy() -> None:
    first, second = [0.1, 0.2, 0.3, 0.4, 2.1, 2.2, 2.3, 2.4], [2.1, 2.2, 2.3, 2.4, 0.1, 0.2, 0.3, 0.4]
    live = torch.stack([logits_with_losses(first), logits_with_losses(second)]).requires_grad_()
    objective = build_objective(CoTeaching("co_teaching", 0.5, 0.0, 0.0), TASK)
    batch = batch_of(5.0)
    loss = objective.loss(batch, forward_of(live, live, live))
    weights = batch.weights
    expected = (weights[4:] * torch.tensor(first[4:])).sum() / weights[4:].sum() + (weights[:4] * torch.tensor(second[:4])).sum() / weights[
        :4
    ].sum()
    assert loss.item() == pytest.approx(expected.item())
    loss.backward()  # type: ignore[no-untyped-call]
    assert live.grad is not None
    assert live.grad[0, :4].abs().sum() == 0
    assert live.grad[1, 4:].abs().sum() == 0


def test_before_the_ramp_nothing_is_forgotten() -> None:
    live = torch.randn(2, 8, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    build_objective(CoTeaching("co_teaching", 0.5, 3.0, 0.0), TASK).loss(batch_of(0.0), forward_of(live, live, live)).backward()  # type: ignore[no-untyped-call]
    assert live.grad is not None
    assert (live.grad.abs().sum(2) > 0).all()


def test_targets_of_elr_plus_come_from_the_other_networks_average() -> None:
    objective = build_objective(EarlyLearningPlus("elr_plus", 0.7, 1.0, 0.0), TASK)
    generator = torch.Generator().manual_seed(0)
    live, still = (torch.randn(2, 8, K, generator=generator) for _ in range(2))
    objective.loss(batch_of(0.0), forward_of(live, still, live))
    for i in range(2):
        expected = elr_memory(torch.zeros(8, K), still[1 - i], momentum=0.7)
        torch.testing.assert_close(objective.tensors[f"memory_{i}"][:8], expected)
