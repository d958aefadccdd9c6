"""Representation calibration: its loss by hand, the rows that it draws, and a training from a start without labels."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.methods.feature_settings import RepresentationCalibration
from tasks.methods.objectives import Batch, Output, Task, build_objective
from tasks.methods.representation_objective import features_of
from tasks.methods.steps import Start, train_in_steps
from tests.tasks.methods.test_objectives import forward_of
from tests.tasks.methods.test_steps import CONTRAST, blank, plan
from tests.tasks.methods.test_training import RECIPE, accuracy_on, stripes


def settings(**changes: float) -> RepresentationCalibration:
    return dataclasses.replace(RepresentationCalibration("representation_calibration", 0.0, 1, 0, 1e-9, 0.5, 2.0), **changes)


def task(features: np.ndarray, classes: np.ndarray) -> Task:
    return Task(len(classes), int(classes.max()) + 1, features.shape[1], classes, "cpu", None, lambda: features)


def batch(classes: np.ndarray) -> Batch:
    n = len(classes)
    return Batch(torch.arange(n), torch.from_numpy(classes), torch.ones(n), 0.0, True, np.random.default_rng(0))


def test_the_loss_of_a_worked_example() -> None:
    start, classes = np.array([[0.0], [2.0], [10.0], [12.0]], np.float32), np.array([0, 0, 1, 1])
    objective = build_objective(settings(), task(start, classes))
    assert objective.tensors["variance"].item() == pytest.approx(26.0)  # of 0, 2, 10, 12
    assert objective.tensors["means"][:, 0].tolist() == [1.0, 11.0]
    assert objective.tensors["factors"][:, 0, 0].tolist() == pytest.approx([1.0, 1.0])
    flat = torch.zeros(2, 4, 2)
    moved = torch.from_numpy(start) + torch.tensor([[1.0], [0.0], [0.0], [2.0]])
    found = objective.loss(batch(classes), forward_of(flat, flat, flat, below=moved, head=torch.zeros(2, 1)))
    assert found.item() == pytest.approx(math.log(2) + 2.0 * (1 + 4) / 4 / 26, abs=1e-6)


def test_virtual_rows_follow_the_distributions_and_even_out_the_concepts() -> None:
    generator = np.random.default_rng(3)
    classes = np.repeat([0, 1], [3600, 400])
    features = generator.normal(0, 1, (4000, 2)) @ np.array([[2.0, 1.0], [0.0, 0.5]]) + 9.0 * classes[:, None]
    objective = build_objective(settings(), task(features.astype(np.float32), classes))
    seen: list[torch.Tensor] = []
    flat = torch.zeros(2, 4000, 2)
    forward = forward_of(flat, flat, flat, below=torch.zeros(4000, 2), head=torch.zeros(2, 2))
    forward.classify = lambda virtual: seen.append(virtual) or torch.zeros(len(virtual), 2)  # type: ignore[method-assign, func-returns-value]
    objective.loss(batch(classes), forward)
    virtual = seen[0].numpy()
    rare = virtual.mean(1) > 4.5
    assert rare.mean() == pytest.approx(0.9, abs=0.02)
    np.testing.assert_allclose(virtual[rare].mean(0), [9.0, 9.0], atol=0.15)
    np.testing.assert_allclose(np.cov(virtual[rare].T), [[4.0, 2.0], [2.0, 1.25]], atol=0.3)


def test_equal_generators_draw_equal_rows() -> None:
    generator = np.random.default_rng(3)
    classes = np.arange(40) % 2
    objective = build_objective(settings(), task(generator.normal(0, 1, (40, 3)).astype(np.float32), classes))
    flat, head = torch.zeros(2, 40, 2), torch.tensor([[1.0, -1.0, 0.5], [0.0, 2.0, 1.0]])
    forward = forward_of(flat, flat, flat, below=torch.zeros(40, 3), head=head)
    once, again = (objective.loss(batch(classes), forward).item() for _ in range(2))
    assert once == again


def test_without_features_it_says_so() -> None:
    with pytest.raises(
        ValueError, match="representation_calibration recovers distributions of features: pass what gives those of the start"
    ):
        build_objective(settings(), Task(4, 2, 1, np.array([0, 0, 1, 1]), "cpu"))
    with pytest.raises(ValueError, match="this loss needs the features below the head: ask the network for them"):
        features_of(Output(torch.zeros(1, 2), None))


def test_it_learns_from_a_start_in_spite_of_wrong_concepts(tmp_path: Path) -> None:
    rows = stripes()
    noisy = dataclasses.replace(rows, classes=np.where(np.arange(96) % 10 < 2, 1 - rows.classes, rows.classes))
    loss = settings(outlier_share=0.2, head_rows=10, n_heads=1, spread=0.1, closeness=0.1)
    recipe = dataclasses.replace(RECIPE, loss=loss, samples_seen=800)
    start = Start(blank(), dataclasses.replace(CONTRAST, samples_seen=800), None)
    _, network, curve = train_in_steps(noisy, recipe, start, plan(tmp_path))
    assert accuracy_on(network, stripes(seed=1)) > 0.85
    assert curve[-1]["loss"] < curve[0]["loss"]
