"""SimCLRv2's three steps: each does its part, and a killed run goes on in the step that it was in."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.methods.augmentation import Augmentation
from tasks.methods.batches import Rows
from tasks.methods.checkpoints import load_tensors
from tasks.methods.distribution import World
from tasks.methods.step_settings import Distillation, ViewContrast
from tasks.methods.steps import CHECKPOINT, STARTED, TAUGHT, Plan, Start, Teacher, train_in_steps
from tests.tasks.methods.test_training import LOSSES, RECIPE, accuracy_on, same, stripes

CONTRAST = dataclasses.replace(
    RECIPE, loss=ViewContrast("view_contrast", 8, 0.2), augmentation=Augmentation(1, True, 0.1, 2), samples_seen=320
)
DISTIL = dataclasses.replace(RECIPE, loss=Distillation("distillation", 1.0, 1.0))


def blank(seed: int = 2) -> Rows:
    """Stripes whose classes say nothing."""
    rows = stripes(seed=seed)
    return dataclasses.replace(rows, classes=np.zeros_like(rows.classes))


def plan(folder: Path, **changes: Any) -> Plan:
    folder.mkdir(exist_ok=True)
    whole = Plan("resnet9-4", 2, folder, "f", 0, "cpu", World(), validate=lambda network: 0.0, noted=None)
    return dataclasses.replace(whole, **changes)


def few(n: int = 8) -> Rows:
    """A few stripes with their classes."""
    rows = stripes(seed=3)
    return Rows(rows.pictures[:n], rows.classes[:n], rows.weights[:n], rows.keys[:n])


def test_without_a_start_it_is_the_rows_own_training(tmp_path: Path) -> None:
    name, network, curve = train_in_steps(stripes(), RECIPE, None, plan(tmp_path))
    assert name == "resnet9-4"
    assert [point["step"] for point in curve] == [10, 20, 30]
    assert accuracy_on(network, stripes(seed=1)) > 0.9


def test_views_that_are_contrasted_are_found_again(tmp_path: Path) -> None:
    _, curve = plan(tmp_path).train(plan(tmp_path).network("resnet9-4+layer", blank()), blank(), CONTRAST, step=STARTED)
    assert curve[-1]["loss"] < curve[0]["loss"] - 0.1
    assert "accuracy" not in curve[0]


def test_fine_tuning_goes_on_from_the_layer_of_the_start(tmp_path: Path) -> None:
    barely = dataclasses.replace(RECIPE, samples_seen=16, learning_rate=1e-12, augmentation=CONTRAST.augmentation, weight_decay=0.0)
    name, network, _ = train_in_steps(few(), barely, Start(blank(), CONTRAST, None), plan(tmp_path, fingerprint="f"))
    assert name == "resnet9-4+layer"
    started = load_tensors(tmp_path / STARTED)[0]
    fresh = plan(tmp_path).network(name, few()).state_dict()
    for key in ("backbone.1.weight", "backbone.0.0.0.weight"):
        torch.testing.assert_close(network.state_dict()[key], started[key])
        assert not torch.allclose(started[key], fresh[key])
    torch.testing.assert_close(network.state_dict()["head.weight"], fresh["head.weight"])


def test_a_student_learns_from_the_teacher_alone(tmp_path: Path) -> None:
    name, network, curve = train_in_steps(stripes(), RECIPE, Start(blank(), CONTRAST, DISTIL), plan(tmp_path))
    assert name == "resnet9-4"
    assert accuracy_on(network, stripes(seed=1)) > 0.8
    assert {file.name for file in tmp_path.iterdir()} == {CHECKPOINT, STARTED, TAUGHT}
    assert curve[-1]["step"] == 30


@pytest.mark.parametrize("stop_at", [2, 4])
def test_killed_in_a_step_and_resumed_gives_the_same_bits(tmp_path: Path, stop_at: int) -> None:
    start = Start(blank(), CONTRAST, DISTIL)
    whole = train_in_steps(stripes(), dataclasses.replace(RECIPE, loss=LOSSES["elr"]), start, plan(tmp_path / "whole"))

    class Stop(Exception):
        pass

    seen = []

    def stop(_: torch.nn.Module) -> float:
        seen.append(1)
        if len(seen) == stop_at:
            raise Stop
        return 0.0

    recipe = dataclasses.replace(RECIPE, loss=LOSSES["elr"])
    with pytest.raises(Stop):
        train_in_steps(stripes(), recipe, start, plan(tmp_path / "killed", validate=stop))
    assert (tmp_path / "killed" / TAUGHT).exists() == (stop_at == 4)
    stamp = (tmp_path / "killed" / STARTED).stat().st_mtime_ns
    again = train_in_steps(stripes(), recipe, start, plan(tmp_path / "killed"))
    assert (tmp_path / "killed" / STARTED).stat().st_mtime_ns == stamp
    assert same(whole[1], again[1])
    assert whole[2] == again[2]


def test_steps_of_another_recipe_are_done_again(tmp_path: Path) -> None:
    start = Start(blank(), dataclasses.replace(CONTRAST, samples_seen=32), None)
    recipe = dataclasses.replace(RECIPE, samples_seen=16)
    train_in_steps(few(), recipe, start, plan(tmp_path))
    other = dataclasses.replace(start, recipe=dataclasses.replace(start.recipe, learning_rate=0.01))
    found = train_in_steps(few(), recipe, other, plan(tmp_path, fingerprint="g"))
    assert same(found[1], train_in_steps(few(), recipe, other, plan(tmp_path / "fresh"))[1])


def test_a_student_of_few_rows_learns_what_its_teacher_knows_of_them(tmp_path: Path) -> None:
    wrong = dataclasses.replace(few(16), classes=1 - few(16).classes)
    start = Teacher(stripes(), RECIPE, Distillation("distillation", 2.0, 1.0))
    name, network, curve = train_in_steps(wrong, RECIPE, start, plan(tmp_path))
    assert (name, curve[-1]["step"]) == ("resnet9-4", 30)
    assert accuracy_on(network, stripes(seed=1)) > 0.7  # the wrong classes were not looked at
    heeded = dataclasses.replace(start, loss=Distillation("distillation", 2.0, 0.01))
    assert accuracy_on(train_in_steps(wrong, RECIPE, heeded, plan(tmp_path / "heeded"))[1], stripes(seed=1)) < 0.5
