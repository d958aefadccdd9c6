"""The state of a run: the average that follows the weights, and what is taken over from a checkpoint."""

from pathlib import Path

import pytest
import torch

from tasks.methods.checkpoints import load_tensors, save_tensors
from tasks.methods.loss_settings import EarlyLearning
from tasks.methods.objectives import Task, build_objective
from tasks.methods.optimizers import build_optimizer
from tasks.methods.runs import Run, resume, save, update_average


def new_run(seed: int) -> Run:
    torch.manual_seed(seed)
    learner, average = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    objective = build_objective(EarlyLearning("elr", 0.5, 1.0), Task(3, 2, 2, torch.zeros(3).long().numpy(), "cpu"))
    for tensor in objective.tensors.values():
        tensor += torch.rand(tensor.shape)
    return Run(learner, average, build_optimizer("sgd", list(learner.parameters()), weight_decay=0.0), objective, torch.zeros(2))


def tensors_of(run: Run) -> list[torch.Tensor]:
    return [
        *run.learner.state_dict().values(),
        *run.average.state_dict().values(),
        *run.optimizer.tensors.values(),
        *run.objective.tensors.values(),
    ]


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    first, second = new_run(0), new_run(1)
    first.step, first.losses, first.curve = 7, [0.5], [{"step": 3, "loss": 1.0}]
    save(first, tmp_path / "checkpoint", "f")
    resume(second, tmp_path / "checkpoint", "f")
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(tensors_of(first), tensors_of(second), strict=True))
    assert (second.step, second.losses, second.curve) == (7, [0.5], [{"step": 3, "loss": 1.0}])
    assert second.saved == f"step 7 in {tmp_path / 'checkpoint'}"


def test_another_recipes_checkpoint_and_none_change_nothing(tmp_path: Path) -> None:
    save(new_run(0), tmp_path / "checkpoint", "f")
    run, before = new_run(1), [tensor.clone() for tensor in tensors_of(new_run(1))]
    resume(run, tmp_path / "checkpoint", "g")
    resume(run, tmp_path / "missing", "f")
    resume(run, None, "f")
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(tensors_of(run), before, strict=True))


def test_average_of_weights_follows_the_network() -> None:
    average, network = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(average.weight, 0.0)
    torch.nn.init.constant_(network.weight, 1.0)
    update_average(average, network, step=1000, decay=0.9)
    assert average.weight.item() == pytest.approx(0.1)
    update_average(average, network, step=0, decay=0.9)
    assert average.weight.item() == pytest.approx(0.1 + 0.9 * 0.9)
    update_average(average, network, step=5, decay=0.0)
    assert average.weight.item() == 1.0


def test_saving_replaces_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.safetensors"
    for value in (1.0, 2.0):
        save_tensors(path, {"x": torch.tensor([value])}, {"step": value})
    tensors, metadata = load_tensors(path)
    assert tensors["x"].item() == metadata["step"] == 2.0
    assert [file.name for file in path.parent.iterdir()] == ["state.safetensors"]
