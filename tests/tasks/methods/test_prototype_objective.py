"""Prototypes: the rule about labels by its worked example, soft targets from a queue, and prototypes that follow."""

import numpy as np
import pytest
import torch

from tasks.methods.loss_settings import PrototypeContrast
from tasks.methods.objectives import Output, build_objective
from tasks.methods.prototype_objective import bootstrapped, corrected, moved, projected_of
from tests.tasks.methods.test_objectives import TASK, batch_of, forward_of


def test_the_rule_of_the_worked_example() -> None:
    classifier, prototypes = np.array([[0.15, 0.70, 0.10, 0.05]]), np.array([[0.05, 0.85, 0.05, 0.05]])
    mixed = torch.from_numpy(0.5 * classifier + 0.5 * prototypes)
    np.testing.assert_allclose(mixed.numpy(), [[0.10, 0.775, 0.075, 0.05]])
    given = torch.tensor([0])
    classes, kept = corrected(mixed, given, min_correction=0.6, min_given=0.25)
    assert (classes.tolist(), kept.tolist()) == ([1], [True])
    classes, kept = corrected(mixed, given, min_correction=0.9, min_given=0.25)
    assert (classes.tolist(), kept.tolist()) == ([0], [False])
    classes, kept = corrected(mixed, given, min_correction=0.9, min_given=0.1)
    assert (classes.tolist(), kept.tolist()) == ([0], [True])


def test_soft_targets_come_from_the_keys_that_point_the_same_way() -> None:
    keys = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    beliefs = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.0, 1.0]])
    targets = bootstrapped(torch.tensor([[1.0, 0.0], [0.6, 0.8]]), keys, beliefs)
    np.testing.assert_allclose(targets[0].numpy(), [0.9, 0.1], atol=1e-5)
    np.testing.assert_allclose(targets[1].numpy(), [(0.6 * 0.9 + 0.8 * 0.2) / 1.4, (0.6 * 0.1 + 0.8 * 0.8) / 1.4], atol=1e-5)


def test_prototypes_move_with_their_samples_and_stay_without() -> None:
    before = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    z = torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.6, 0.8]])
    after = moved(before, z, torch.tensor([0, 0, 2]), momentum=0.5)
    expected = np.array([0.25, 0.75]) / np.hypot(0.25, 0.75)  # 0.5^2 of the old one is left after two samples
    np.testing.assert_allclose(after[0].numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(after[1].numpy(), [0.0, 1.0])
    np.testing.assert_allclose(after[2].numpy(), [0.6, 0.8], atol=1e-6)


def test_the_queue_goes_round() -> None:
    objective = build_objective(PrototypeContrast("prototype_contrast", 4, 10, 0.1, 0.9, 0.5, 0.6, 0.0, 0.1, 0.0, 9.0), TASK)
    live = torch.zeros(2, 8, TASK.n_classes)
    for value in (1.0, -1.0):
        z = torch.full((8, 4), 0.5 * value)
        objective.loss(batch_of(1.0), forward_of(live, live, z))
    assert objective.tensors["queued"].item() == 16
    assert objective.tensors["keys"][:, 0].tolist() == [-0.5] * 6 + [0.5] * 2 + [-0.5] * 2


def test_a_dropped_row_teaches_nothing_and_moves_no_prototype() -> None:
    objective = build_objective(PrototypeContrast("prototype_contrast", 4, 10, 0.1, 0.9, 1.0, 0.99, 0.2, 0.0, 0.0, 0.0), TASK)
    live = torch.zeros(2, 8, TASK.n_classes)
    live[0, 0] = torch.tensor([-2.0, 1.0, 1.0])  # given 0, which it is least; none of the others is sure
    live.requires_grad_()
    z = torch.nn.functional.normalize(torch.eye(8, 4) + 0.1, dim=1)
    objective.loss(batch_of(1.0), forward_of(live, live, z)).backward()  # type: ignore[no-untyped-call]
    assert live.grad is not None
    assert live.grad[0, 0].abs().sum() == 0
    assert live.grad[0, 1].abs().sum() > 0
    assert objective.tensors["prototypes"][0] @ z[3] > objective.tensors["prototypes"][0] @ z[0]


def test_what_is_projected_has_unit_length() -> None:
    found = projected_of(Output(torch.zeros(2, 2), torch.tensor([[3.0, 4.0], [0.0, -2.0]])))
    np.testing.assert_allclose(found.numpy(), [[0.6, 0.8], [0.0, -1.0]], atol=1e-7)


def test_without_a_projection_it_says_so() -> None:
    objective = build_objective(PrototypeContrast("prototype_contrast", 4, 10, 0.1, 0.9, 0.5, 0.6, 0.0, 0.1, 0.0, 9.0), TASK)
    live = torch.zeros(2, 8, TASK.n_classes)
    with pytest.raises(ValueError, match="this loss needs a projection: build the learner with one"):
        objective.loss(batch_of(0.0), forward_of(live, live, None))  # type: ignore[arg-type]
