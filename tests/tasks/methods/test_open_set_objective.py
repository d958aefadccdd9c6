"""Open-set targets: formulas by hand, doubted rows that are taught what is predicted, or that they show nothing."""

import math

import numpy as np
import pytest
import torch

from tasks.methods.feature_settings import OpenTargets
from tasks.methods.objectives import Batch, Output, Task, build_objective
from tasks.methods.open_set_objective import aligned, heads_of, open_targets
from tests.tasks.methods.test_objectives import forward_of
from tests.tasks.methods.test_split_objectives import CLASSES, TASK, WRONG, K, N, beliefs, whole_batch

SETTINGS = OpenTargets("open_targets", 1.0, 0.5, 1.0, True, 0.0, 8, 0.5, 0.4, 0.5)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_open_targets_of_the_worked_example() -> None:
    found = open_targets(torch.tensor([[0.6, 0.3, 0.1]]), torch.tensor([[0.9, 0.5, 0.2]]))
    np.testing.assert_allclose(found.numpy(), [[0.54, 0.15, 0.02, 0.06 + 0.15 + 0.08]], atol=1e-6)


def test_predictions_are_aligned_to_the_shares() -> None:
    found = aligned(torch.tensor([[0.6, 0.4]]), torch.tensor([0.5, 0.5]), torch.tensor([0.75, 0.25]))
    np.testing.assert_allclose(found.numpy(), [[0.4 / 1.2, 0.8 / 1.2]], atol=1e-5)


def test_the_loss_of_a_worked_example() -> None:
    # Two rows given concept 1, of which the second is doubted; a third and a fourth of no weight make the shares even.
    classes = np.array([1, 1, 0, 0])
    objective = build_objective(SETTINGS, Task(4, 2, 4, classes, "cpu"))
    objective.tensors["clean"].copy_(torch.tensor([1.0, 0.0, 1.0, 1.0]))
    batch = Batch(torch.arange(4), torch.from_numpy(classes), torch.tensor([1.0, 1.0, 0.0, 0.0]), 2.0, False, np.random.default_rng(0))
    still, live = torch.zeros(2, 8, 2), torch.tensor([0.7, 0.3]).log().expand(2, 8, 2)
    seen = torch.tensor([logit(0.9), logit(0.5), 0.0, 0.0, 0.0]).expand(8, 5)  # targets .45, .25, none .3
    told = torch.tensor([0.0, 0.0, math.log(0.5), math.log(0.3), math.log(0.2)]).expand(8, 5)
    found = objective.loss(batch, forward_of(live, still, told, still_projected=seen))
    taught = -(0.45 * math.log(0.5) + 0.25 * math.log(0.3) + 0.3 * math.log(0.2))
    trusted = -math.log(0.3) + 0.5 * 2 * math.log(2)
    doubted = -0.5 * (math.log(0.7) + math.log(0.3))
    assert found.item() == pytest.approx((trusted + doubted + 2 * 0.5 * taught) / 4, abs=1e-5)


def test_what_is_out_of_the_set_is_taught_as_that_and_as_no_concept() -> None:
    classes = np.array([0, 1])
    objective = build_objective(SETTINGS, Task(2, 2, 4, classes, "cpu"))
    objective.tensors["clean"].zero_()
    batch = Batch(torch.arange(2), torch.from_numpy(classes), torch.ones(2), 2.0, False, np.random.default_rng(0))
    still, live = torch.tensor([5.0, -5.0]).expand(2, 4, 2), torch.zeros(2, 4, 2, requires_grad=True)
    seen = torch.tensor([logit(0.1), logit(0.1), 0.0, 0.0, 0.0]).expand(4, 5)
    told = torch.zeros(4, 5, requires_grad=True)
    objective.loss(batch, forward_of(live, still, told, still_projected=seen)).backward()  # type: ignore[no-untyped-call]
    assert live.grad is None or live.grad.abs().sum() == 0
    assert told.grad is not None
    assert told.grad[1::2, 2:].argmin(1).tolist() == [2, 2]
    assert told.grad[:, :2].abs().sum() == 0  # whose given concept is doubted says nothing of what is shown
    assert told.grad[0::2].abs().sum() == 0  # the views that were predicted on


def test_wrong_concepts_are_doubted_and_the_predicted_ones_taught() -> None:
    objective = build_objective(SETTINGS, TASK)
    still = beliefs(1).repeat_interleave(2, 0).expand(2, 2 * N, K)
    seen = torch.full((2 * N, 2 * K + 1), 3.0)
    objective.loss(whole_batch(0.0), forward_of(still, still, seen))
    live = torch.zeros(2, 2 * N, K, requires_grad=True)
    objective.loss(whole_batch(1.0), forward_of(live, still, seen)).backward()  # type: ignore[no-untyped-call]
    assert ((objective.tensors["clean"].numpy() < 0.5) == WRONG).mean() > 0.97
    assert live.grad is not None
    wrong, right = int(np.flatnonzero(WRONG)[0]), int(np.flatnonzero(~WRONG)[0])
    assert live.grad[0, 2 * wrong + 1].argmin() == beliefs(1)[wrong].argmax() != CLASSES[wrong]
    assert live.grad[0, 2 * right + 1].argmin() == CLASSES[right]


def test_before_the_warm_up_is_over_every_concept_is_trusted() -> None:
    objective = build_objective(SETTINGS, TASK)
    flat, told = torch.zeros(2, 2 * N, K), torch.zeros(2 * N, 2 * K + 1)
    found = objective.loss(whole_batch(0.0), forward_of(flat, flat, told))
    assert found.item() == pytest.approx(math.log(K) + 0.5 * 2 * math.log(2), abs=1e-5)


def test_without_its_heads_it_says_so() -> None:
    with pytest.raises(
        ValueError, match="open-set targets need 5 outputs beside the logits: build the learner with the objective's projection"
    ):
        heads_of(Output(torch.zeros(1, 2), torch.zeros(1, 4)))
