"""Contrast of views and distillation on batches by hand."""

import math

import numpy as np
import pytest
import torch

from tasks.methods.label_free_objectives import Agree, Follow
from tasks.methods.objectives import Batch, Output, Task
from tasks.methods.step_settings import Distillation, ViewContrast


def batch(n: int, weights: list[float] | None = None) -> Batch:
    told = torch.tensor(weights or [1.0] * n)
    return Batch(torch.arange(n), torch.zeros(n, dtype=torch.int64), told, 0.0, True, np.random.default_rng(0))


def task(targets: np.ndarray | None = None) -> Task:
    return Task(2, 2, 6, np.zeros(2, np.int64), "cpu", targets)


def test_the_head_has_a_hidden_layer_as_wide_as_the_features() -> None:
    objective = Agree(ViewContrast("view_contrast", 3, 1.0), task())
    assert (objective.projection, objective.views, objective.n_networks) == ((6, 3), 2, 1)


def test_views_that_agree_cost_what_the_others_leave() -> None:
    views = torch.eye(2).repeat_interleave(2, 0)
    objective = Agree(ViewContrast("view_contrast", 2, 0.5), task())
    found = objective.loss(batch(2), lambda *_, **__: Output(torch.zeros(4, 2), views))
    assert float(found) == pytest.approx(math.log(1 + 2 * math.exp(-2)))  # 0.2395: one fellow at 1 / 0.5, two others at 0


def test_rows_of_no_weight_do_not_count() -> None:
    views = torch.nn.functional.normalize(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    objective = Agree(ViewContrast("view_contrast", 3, 0.5), task())
    parts = [
        float(objective.loss(batch(2, weights), lambda *_, **__: Output(torch.zeros(4, 2), views))) for weights in ([2.0, 0.0], [0.0, 2.0])
    ]
    whole = float(objective.loss(batch(2), lambda *_, **__: Output(torch.zeros(4, 2), views)))
    assert sum(parts) / 2 == pytest.approx(whole)
    assert parts[0] != pytest.approx(parts[1])


def test_a_student_gets_its_own_rows_targets_and_a_share_of_the_given_classes() -> None:
    targets = np.array([[0.2, 0.8], [0.6, 0.4]], np.float32)
    logits = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()
    costs = [-(0.2 * math.log(0.6) + 0.8 * math.log(0.4)), -(0.6 * math.log(0.6) + 0.4 * math.log(0.4))]
    objective = Follow(Distillation("distillation", 1.0, 1.0), task(targets))
    assert float(objective.loss(batch(2), lambda *_, **__: Output(logits, None))) == pytest.approx(sum(costs) / 2)
    half = Follow(Distillation("distillation", 1.0, 0.5), task(targets))
    assert float(half.loss(batch(2), lambda *_, **__: Output(logits, None))) == pytest.approx((sum(costs) / 2 - math.log(0.6)) / 2)


def test_without_a_teacher_it_says_so() -> None:
    with pytest.raises(ValueError, match="distillation needs a teacher's probabilities: pass rows with targets"):
        Follow(Distillation("distillation", 1.0, 1.0), task())
