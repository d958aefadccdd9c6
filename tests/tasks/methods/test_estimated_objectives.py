"""Weights and transition matrices that are estimated along the way, by hand and on blobs with wrong concepts."""

import math

import numpy as np
import pytest
import torch

from tasks.methods.estimated_objectives import margin, posterior, transition
from tasks.methods.loss_settings import ImpreciseLabels, LossRescaling
from tasks.methods.objectives import Batch, Task, build_objective
from tests.tasks.methods.test_objectives import forward_of


def batch(classes: list[int], epoch: float = 2.0) -> Batch:
    n = len(classes)
    return Batch(torch.arange(n), torch.tensor(classes), torch.ones(n), epoch, False, np.random.default_rng(0))


def task(n: int, k: int) -> Task:
    return Task(n, k, 4, np.zeros(n, np.int64), "cpu")


def logits_of(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows).log()


def test_margins_of_worked_examples() -> None:
    found = margin(logits_of((0.6, 0.3, 0.1), (0.6, 0.3, 0.1)), torch.tensor([0, 2]))
    assert found.tolist() == pytest.approx([0.3, -0.5])


def test_weights_are_sigmoids_of_standard_scores_within_a_concept() -> None:
    # Margins .3 and -.1 of concept 0: mean .1, spread .2, scores +1 and -1. Concept 1 has one row, of score 0, which weighs 1.
    seen = logits_of((0.65, 0.35), (0.45, 0.55), (0.1, 0.9))[None].expand(2, 3, 2)
    objective = build_objective(LossRescaling("loss_rescaling", 1.0, 0.9), task(3, 2))
    live = torch.zeros(2, 3, 2, requires_grad=True)
    objective.loss(batch([0, 0, 1]), forward_of(live, seen, seen)).backward()  # type: ignore[no-untyped-call]
    assert live.grad is not None
    high = 1 / (1 + math.exp(-1))
    expected = [2 * high, 2 * (1 - high), 1.0]  # over the mean of 0.5
    given = live.grad[0].gather(1, torch.tensor([[0], [0], [1]]))[:, 0]
    assert (-given * 3 / 0.5).tolist() == pytest.approx(expected, abs=1e-5)
    assert objective.tensors["margin"].tolist() == pytest.approx([0.1, 0.8], abs=1e-6)


def test_before_the_warm_up_is_over_all_weigh_the_same() -> None:
    seen = logits_of((0.65, 0.35), (0.45, 0.55))[None].expand(2, 2, 2)
    objective = build_objective(LossRescaling("loss_rescaling", 1.0, 0.9), task(2, 2))
    found = objective.loss(batch([0, 0], epoch=0.5), forward_of(torch.zeros(2, 2, 2), seen, seen))
    assert float(found) == pytest.approx(math.log(2))


def test_means_move_by_the_momentum_and_stay_where_no_row_was() -> None:
    objective = build_objective(LossRescaling("loss_rescaling", 0.0, 0.75), task(2, 2))
    for first, second in ((0.65, 0.35), (0.85, 0.15)):
        seen = logits_of((first, second))[None].expand(2, 1, 2)
        objective.loss(batch([0]), forward_of(seen, seen, seen))
    assert objective.tensors["margin"].tolist() == pytest.approx([0.75 * 0.3 + 0.25 * 0.7, 0.0])
    assert objective.tensors["visits"].tolist() == [2, 0]


def test_the_expectation_of_a_worked_example() -> None:
    joint = torch.tensor([[0.45, 0.05], [0.1, 0.4]])
    torch.testing.assert_close(transition(joint), torch.tensor([[0.9, 0.1], [0.2, 0.8]]))
    found = posterior(torch.tensor([[0.6, 0.4]]), transition(joint)[:, 1][None])
    assert found[0].tolist() == pytest.approx([0.06 / 0.38, 0.32 / 0.38])


def test_the_loss_of_a_worked_example() -> None:
    objective = build_objective(ImpreciseLabels("imprecise_labels", 0.0, 0.5, 0.9, 0.0), task(1, 2))
    objective.tensors["joint"].copy_(torch.tensor([[0.45, 0.05], [0.1, 0.4]]))
    weak, strong = logits_of((0.6, 0.4), (0.5, 0.5)), torch.zeros(2, 2)
    found = objective.loss(batch([1]), forward_of(strong.expand(2, 2, 2), weak.expand(2, 2, 2), strong))
    q = (0.06 / 0.38, 0.32 / 0.38)
    told = -(q[0] * math.log(0.05 / 0.45) + q[1] * math.log(0.4 / 0.45))  # 0.4461
    assert float(found) == pytest.approx(told - math.log(0.45) + math.log(2), abs=1e-6)
    expected = 0.9 * torch.tensor([[0.45, 0.05], [0.1, 0.4]]) + 0.1 * torch.tensor([[0.0, q[0]], [0.0, q[1]]])
    torch.testing.assert_close(objective.tensors["joint"], expected)


def test_the_matrix_of_the_noise_is_found() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, 4000)
    noise = np.array([[0.7, 0.3, 0.0], [0.1, 0.9, 0.0], [0.0, 0.2, 0.8]])
    given = (generator.random((4000, 1)) > noise[truth].cumsum(1)).sum(1)
    seen = torch.from_numpy(3.0 * np.eye(3)[truth] + generator.normal(0, 0.5, (4000, 3))).float().repeat_interleave(2, 0)
    objective = build_objective(ImpreciseLabels("imprecise_labels", 0.0, 0.8, 0.5, 0.1), task(4000, 3))
    for _ in range(10):
        objective.loss(batch(given.tolist()), forward_of(seen.expand(2, 8000, 3), seen.expand(2, 8000, 3), seen))
    np.testing.assert_allclose(transition(objective.tensors["joint"]).numpy(), noise, atol=0.05)
