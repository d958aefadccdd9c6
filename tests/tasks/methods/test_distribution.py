"""Two processes that share every batch end with the weights of one."""

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tasks.methods.checkpoints import load_tensors
from tasks.methods.distribution import World, joined, synchronise_norms
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


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


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
    words = [str(word) for pair in budgets.items() for word in pair]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path), *words],
            cwd=Path(__file__).resolve().parents[3],
            env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    told = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    for name, samples in budgets.items():
        first, second = (load_tensors(tmp_path / f"{name}-{rank}")[0] for rank in range(2))
        alone, _ = run(stripes(), dataclasses.replace(RECIPE, loss=LOSSES[name], samples_seen=samples))
        start, _ = run(stripes(), dataclasses.replace(RECIPE, loss=LOSSES[name], samples_seen=16, learning_rate=1e-12))
        for key, value in alone.state_dict().items():
            assert torch.equal(first[key], second[key]), f"{name}: {key}"
            torch.testing.assert_close(first[key], value, rtol=2e-3, atol=2e-4, msg=lambda text, where=f"{name} {key}": f"{where}: {text}")
        moved = (start.state_dict()["head.weight"] - alone.state_dict()["head.weight"]).abs().max()
        assert moved > 0.01


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
