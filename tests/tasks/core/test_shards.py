import os
import signal
import subprocess
import sys
import time

import pytest

from tasks.core.errors import ShardError
from tasks.core.settings import Settings
from tasks.core.shards import Placement, ProcessPool, SerialPool, make_pool

POOLS = [SerialPool(), ProcessPool(2)]


def slow_square(number: int) -> int:
    time.sleep(0.05 * (3 - number % 3))
    return number * number


def refuse(number: int) -> int:
    if number == 2:
        raise ValueError("two is refused")
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("pool", POOLS)
def test_results_come_in_the_order_of_the_items(pool):
    assert list(pool.map(slow_square, range(7))) == [0, 1, 4, 9, 16, 25, 36]


@pytest.mark.parametrize("pool", POOLS)
def test_a_failing_item_fails_the_map(pool):
    with pytest.raises(ValueError, match="two is refused"):
        list(pool.map(refuse, range(5)))


@pytest.mark.parametrize("pool", POOLS)
def test_no_items_no_results(pool):
    assert list(pool.map(slow_square, [])) == []


def test_a_killed_worker_is_a_shard_error():
    with pytest.raises(ShardError, match="run `dvc repro` again to resume"):
        list(ProcessPool(1).map(die, [1]))


def test_settings_choose_the_pool():
    assert isinstance(make_pool(Settings(pool="serial")), SerialPool)
    assert make_pool(Settings(pool="process", workers=3)).workers == 3


def worker_number(number: int) -> str:
    time.sleep(0.2)
    return os.environ["SLUICE_WORKER"]


def test_workers_share_out_the_devices(monkeypatch):
    assert set(ProcessPool(2).map(worker_number, range(6))) == {"0", "1"}
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    pool, placement = ProcessPool(8).placed(Settings(device="auto"))
    assert (pool.workers, placement) == (2, Placement(("cuda:0", "cuda:1"), 4))
    assert placement.kind == "cuda"
    monkeypatch.setenv("SLUICE_WORKER", "1")
    assert placement.device() == "cuda:1"
    pool, placement = ProcessPool(8).placed(Settings(device="cuda:1"))
    assert (pool.workers, placement) == (1, Placement(("cuda:1",), 8))
    assert SerialPool().placed(Settings(device="cuda", workers=3))[1] == Placement(("cuda:0",), 3)


def test_on_the_processor_every_worker_computes():
    pool, placement = ProcessPool(3).placed(Settings(device="cpu"))
    assert (pool.workers, placement) == (3, Placement(("cpu",), 1))


PARENT = """
import sys, time
from tasks.core.shards import ProcessPool
from tests.tasks.core.test_shards import report_and_sleep
if __name__ == "__main__":
    list(ProcessPool(2).map(report_and_sleep, [sys.argv[1] + "/a", sys.argv[1] + "/b"]))
"""


def report_and_sleep(path: str) -> None:
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(60)


def test_workers_end_with_a_killed_parent(tmp_path, repo):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, script, tmp_path], cwd=repo, env={**os.environ, "PYTHONPATH": str(repo)})
    pids = [_wait_for_pid(tmp_path / name) for name in "ab"]
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(_alive(pid) for pid in pids):
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in pids)


def _wait_for_pid(path) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.05)
    raise AssertionError(f"no worker wrote {path}")


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
