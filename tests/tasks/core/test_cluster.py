"""Ray: equal bytes on a cluster of two nodes with a worker killed in the middle; what is refused before work starts."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.core import cluster
from tasks.core.cluster import TRIES, cards_and_cores, check_losses, check_shared, copy_probe
from tasks.core.errors import ParamsError, ShardError


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ParamsError, match="SLUICE_POOL=ray needs Ray: install the extra `ray`, or use serial or process"):
        cluster.RayPool(2)


def test_a_lost_item_is_tried_again_but_not_for_ever(caplog):
    losses, items = Counter[int | None](), ["alpha/00000", "alpha/00001"]
    for _ in range(TRIES - 1):
        losses[1] += 1
        check_losses(losses, 1, items, 2, RuntimeError("killed\nby someone"))
    assert "a Ray worker was lost (killed): alpha/00001 is tried again" in caplog.text
    losses[1] += 1
    with pytest.raises(ShardError, match=rf"alpha/00001 lost {TRIES} workers on the Ray cluster \(killed\): look at their memory"):
        check_losses(losses, 1, items, 2, RuntimeError("killed"))
    with pytest.raises(ShardError, match=r"no worker can be started on the Ray cluster \(no room\): look at its logs"):
        check_losses(Counter({None: 9}), None, items, 2, RuntimeError("no room"))


def test_a_card_has_the_cores_of_its_own_node_only():
    nodes = [
        {"Alive": True, "Resources": {"CPU": 64.0}},
        {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 4.0}},
        {"Alive": True, "Resources": {"CPU": 12.0, "GPU": 2.0}},
        {"Alive": False, "Resources": {"CPU": 1.0, "GPU": 8.0}},
    ]
    assert cards_and_cores(nodes) == (6, 4)
    assert cards_and_cores(nodes[:1]) == (0, 1)


class FakeRay:
    """A cluster of nodes that see the folders given, or nothing of them."""

    def __init__(self, *seen: bool) -> None:
        self.seen = iter(seen)
        self.count = len(seen)

    def nodes(self):
        return [{"Alive": True, "NodeID": f"{number + 1:056x}", "NodeManagerAddress": f"10.0.0.{number}"} for number in range(self.count)]

    def remote(self, function):
        self.options = lambda **how: SimpleNamespace(remote=lambda *paths: function(*paths) if next(self.seen) else "")
        return self

    @staticmethod
    def get(result):
        return result


def test_a_node_that_does_not_share_the_folder_is_named(tmp_path):
    pytest.importorskip("ray", reason="no ray here: install the extra `ray`")
    check_shared(FakeRay(True, True), tmp_path)
    with pytest.raises(ParamsError, match=r"Ray node 10.0.0.1 doesn't share .* \(what it writes is not seen here\): put the project on"):
        check_shared(FakeRay(True, False), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_node_says_what_it_could_not_read(tmp_path):
    assert "No such file" in copy_probe(tmp_path / "absent", tmp_path / "answer")


DRIVER = """
import json, os, sys
from tasks.core.settings import prepare_environment

prepare_environment()
from ray.cluster_utils import Cluster

nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 10**8, "include_dashboard": False})
nodes.add_node(num_cpus=1, object_store_memory=10**8)
os.environ["RAY_ADDRESS"] = nodes.address
from tasks.core.settings import Settings
from tasks.core.shards import make_pool
from tests.tasks.core import test_cluster as test

pool = make_pool(Settings(pool="ray"))
assert pool.workers == 2, pool.workers
assert pool.placed(Settings(device="auto"))[1].devices == ("cpu",)
assert len(pool.ray.nodes()) == 2
folder = test.Path(sys.argv[1])
found = {"squares": list(pool.map(test.Doomed(folder), range(6)))}
try:
    list(pool.map(test.refuse, range(4)))
except ValueError as error:
    found["refused"] = str(error)
found["equal"] = test.embedded_on(folder / "ray", pool) == test.embedded_on(folder / "serial", None)
(folder / "found.json").write_text(json.dumps(found))
pool.ray.shutdown()
nodes.shutdown()
"""


# A busy machine starts nodes slowly, and gives nice workers no time.
PATIENT = {"RAY_raylet_start_wait_time_s": "400", "RAY_agent_register_timeout_ms": "400000", "RAY_worker_niceness": "0"}


class Doomed:
    """Squares numbers; whoever gets 3 first is killed. Counts in its folder what processes there were."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, number: int) -> int:
        (self.folder / f"process-{os.getpid()}").touch()
        if number == 3 and not (self.folder / "killed").exists():
            (self.folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number * number


def refuse(number: int) -> int:
    if number == 2:
        raise ValueError("two is refused")
    return number


def embedded_on(folder: Path, pool: object) -> dict[str, bytes]:
    """The stage `embed` on a small web, on a pool, and what it wrote; on Ray the first worker to embed is killed."""
    from tests.tasks import test_embed

    web = test_embed.make_small(folder)
    if pool is not None:
        pool = Killing(pool, folder)
    test_embed.embedded(web, pool)
    return test_embed.files(web)


class Killing:
    """A pool whose second item kills its worker once."""

    def __init__(self, pool: object, folder: Path) -> None:
        self.pool, self.folder = pool, folder

    def placed(self, settings: object) -> object:
        self.pool, placement = self.pool.placed(settings)
        return self, placement

    def map(self, work: object, items: object) -> object:
        return self.pool.map(KilledOnce(work, self.folder / "killed"), items)


class KilledOnce:
    """Kills its process in the middle of its first shard named 00001."""

    def __init__(self, work: object, mark: Path) -> None:
        self.work, self.mark = work, mark

    def __call__(self, shard: object) -> object:
        if shard.name == "00001" and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.work(shard)


@pytest.mark.slow
def test_a_cluster_of_two_nodes_gives_equal_bytes_though_workers_are_killed(tmp_path, repo):
    pytest.importorskip("ray", reason="no ray here: install the extra `ray`")
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    environment = {name: value for name, value in os.environ.items() if name not in ("SLUICE_WORKERS", "RAY_ADDRESS")}
    environment |= {"PYTHONPATH": str(repo), **PATIENT}
    command = [sys.executable, script, tmp_path]
    done = subprocess.run(command, cwd=repo, env=environment, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found == {"squares": [0, 1, 4, 9, 16, 25], "refused": "two is refused", "equal": True}
    assert (tmp_path / "killed").exists()
    assert (tmp_path / "ray" / "killed").exists()
    assert len(list(tmp_path.glob("process-*"))) >= 2


def test_a_cluster_that_is_not_there(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="no ray here: install the extra `ray`")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ParamsError, match=r"RAY_ADDRESS='127.0.0.1:1' names no Ray cluster that answers \(.*refused"):
        cluster.RayPool(1)
