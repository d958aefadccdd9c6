"""Two processes that share every batch end with the weights of one."""

import dataclasses
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.methods.checkpoints import load_tensors
from tasks.methods.distribution import World, joined, synchronise_norms
from tasks.methods.steps import STARTED, TAUGHT, Start, train_in_steps
from tests.tasks.methods.test_steps import CONTRAST, DISTIL, blank, plan
from tests.tasks.methods.test_training import LOSSES, RECIPE, run, stripes

PROGRAM = """
import dataclasses, sys
from pathlib import Path
from tasks.methods.checkpoints import save_tensors
from tasks.methods.distribution import joined
from tests.tasks.methods.test_training import LOSSES, RECIPE, run, stripes

folder, names = Path(sys.argv[1]), sys.argv[2:]
with joined("cpu") as (world, device):
    for name, samples in zip(names[::2], map(int, names[1::2])):
        recipe = dataclasses.replace(RECIPE, loss=LOSSES[name], samples_seen=samples)
        network, curve = run(stripes(), recipe, world=world, device=device, checkpoint=folder / f"{name}.checkpoint")
        save_tensors(folder / f"{name}-{world.rank}", dict(network.state_dict()), {"curve": curve})
"""

STEPS = """
import sys
from pathlib import Path
from tasks.methods.checkpoints import save_tensors
from tasks.methods.distribution import joined
from tasks.methods.steps import train_in_steps
from tests.tasks.methods.test_distribution import SHORT, started
from tests.tasks.methods.test_steps import plan

folder = Path(sys.argv[1])
with joined("cpu") as (world, device):
    name, network, _ = train_in_steps(*SHORT, started(), plan(folder / "shared", world=world, device=device))
    save_tensors(folder / f"{name}-{world.rank}", dict(network.state_dict()), {})
"""
FEW: dict[str, Any] = {"samples_seen": 64, "learning_rate": 1e-3}  # so that last digits have no time to grow
SHORT = stripes(), dataclasses.replace(RECIPE, **FEW)


def started() -> Start:
    """SimCLRv2's steps, a few batches each."""
    return Start(blank(), dataclasses.replace(CONTRAST, **FEW), dataclasses.replace(DISTIL, **FEW))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def in_two_processes(program: str, folder: Path, words: Sequence[str] = ()) -> None:
    """Run a program in a world of two processes, and see that both end well."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(folder), *words],
            cwd=Path(__file__).resolve().parents[3],
            env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    told = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told


def test_two_processes_end_with_the_weights_of_one(tmp_path: Path) -> None:
    # Short runs for those that choose rows: a choice may tip with the last digit, and then the runs go apart. So do those
    # whose first steps are wild: last digits that differ grow by the step.
    budgets = {
        "cross_entropy": 320,
        "pls": 320,
        "nested": 160,
        "prototypes": 160,
        "imprecise": 160,
        "representation": 48,
        "open_targets": 48,
    }
    in_two_processes(PROGRAM, tmp_path, [str(word) for pair in budgets.items() for word in pair])
    for name, samples in budgets.items():
        first, second = (load_tensors(tmp_path / f"{name}-{rank}")[0] for rank in range(2))
        alone, _ = run(stripes(), dataclasses.replace(RECIPE, loss=LOSSES[name], samples_seen=samples))
        start, _ = run(stripes(), dataclasses.replace(RECIPE, loss=LOSSES[name], samples_seen=16, learning_rate=1e-12))
        for key, value in alone.state_dict().items():
            assert torch.equal(first[key], second[key]), f"{name}: {key}"
            torch.testing.assert_close(first[key], value, rtol=2e-3, atol=2e-4, msg=lambda text, where=f"{name} {key}": f"{where}: {text}")
        moved = (start.state_dict()["head.weight"] - alone.state_dict()["head.weight"]).abs().max()
        assert moved > 0.01


def test_two_processes_go_through_the_steps_of_a_start_as_one_does(tmp_path: Path) -> None:
    in_two_processes(STEPS, tmp_path)
    name, alone, _ = train_in_steps(*SHORT, started(), plan(tmp_path / "alone"))
    first, second = (load_tensors(tmp_path / f"{name}-{rank}")[0] for rank in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    kept = [(file, *(load_tensors(tmp_path / place / file)[0] for place in ("shared", "alone"))) for file in (STARTED, TAUGHT)]
    for step, shared, whole in [*kept, ("student", first, dict(alone.state_dict()))]:
        network = plan(tmp_path).network("resnet9-4" if step == "student" else "resnet9-4+layer", blank())
        fresh, learnt = network.state_dict(), [key for key, _ in network.named_parameters()]
        apart, moved = (sum(float(((whole[key] - other[key]).double() ** 2).sum()) for key in learnt) for other in (shared, fresh))
        assert apart < 0.03 * moved, step  # halved or doubled gradients would be apart by a quarter, or as much as was moved


def test_a_part_is_an_even_share() -> None:
    assert World().part(7) == slice(0, 7)
    assert World(1, 2).part(8) == slice(4, 8)
    with pytest.raises(ValueError, match="batch_size 6 can't be shared by 2 processes: make it a multiple of 4"):
        World(0, 2).part(6)


def test_without_torchrun_the_world_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as (world, device):
        assert (world, device) == (World(), "cpu")


def test_norms_that_hold_more_than_a_norm_are_refused() -> None:
    with pytest.raises(
        ValueError, match="BatchNorm1d can't be synchronised between processes: use a backbone with BatchNorm2d or LayerNorm"
    ):
        synchronise_norms(torch.nn.Sequential(torch.nn.BatchNorm1d(2)), World(0, 2))
    synchronise_norms(torch.nn.Sequential(torch.nn.BatchNorm1d(2)), World())
