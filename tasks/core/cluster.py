"""Run on a Ray cluster: connect to it, check that it shares this folder, and map over shards in actors; the only door to Ray."""

import logging
import os
import socket
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tasks.core.errors import DeviceError, ParamsError, ShardError
from tasks.core.settings import Settings, prepare_environment
from tasks.core.shards import Placement

T = TypeVar("T")
R = TypeVar("R")
log = logging.getLogger(__name__)
TRIES = 4  # of an item whose workers get lost


class RayPool:
    """Run in actors of a Ray cluster, which keep what they have loaded.

    The cluster is the one that RAY_ADDRESS names; without it Ray is started on this machine. Every node has to see the working
    directory under the same path. An item whose worker is lost is given to another one.
    """

    def __init__(self, workers: int | None = None, cores: int = 1, cards: int = 0) -> None:
        self.ray = connected()
        self.workers = workers or max(1, int(self.ray.cluster_resources().get("CPU", 1)))
        self.cores, self.cards = cores, cards

    def limited(self, workers: int) -> "RayPool":
        return RayPool(max(1, min(self.workers, workers)), self.cores, self.cards)

    def placed(self, settings: Settings) -> "tuple[RayPool, Placement]":
        cards, cores = cards_and_cores(self.ray.nodes())
        if settings.device == "cpu" or (settings.device == "auto" and not cards):
            return self, Placement(("cpu",), 1)
        if not cards:
            raise DeviceError(f"SLUICE_DEVICE={settings.device!r} asks for a device that the Ray cluster hasn't got: use auto or cpu")
        return RayPool(cards, cores, 1), Placement(("cuda:0",), cores)  # Ray shows each actor its own card only

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        ray, waiting, losses = self.ray, deque(range(len(items))), Counter[int | None]()
        finished: dict[int, R] = {}
        actors = [self._start() for _ in range(min(self.workers, len(items)))]
        idle: list[Any] = []
        # An actor gets its first item when it is there: one that no node has room for holds nothing back.
        running: dict[Any, tuple[Any, int | None]] = {actor.ready.remote(): (actor, None) for actor in actors}
        try:
            for index in range(len(items)):
                while index not in finished:
                    (done,), _ = ray.wait(list(running), num_returns=1)
                    actor, place = running.pop(done)
                    try:
                        result = ray.get(done)
                        if place is not None:
                            finished[place] = result
                        idle.append(actor)
                    except ray.exceptions.RayActorError as error:
                        losses[place] += 1
                        check_losses(losses, place, items, len(actors), error)
                        if place is not None:
                            waiting.appendleft(place)
                        actors.append(self._start())
                        running[actors[-1].ready.remote()] = (actors[-1], None)
                    except ray.exceptions.RayTaskError as error:
                        raise error.cause from None
                    while waiting and idle:
                        actor, place = idle.pop(), waiting.popleft()
                        running[actor.run.remote(work, items[place])] = (actor, place)
                yield finished.pop(index)
        finally:
            for actor in actors:
                ray.kill(actor)

    def _start(self) -> Any:
        """A worker that begins as this process did: in its folder, with its modules and settings."""
        environment = {name: value for name, value in os.environ.items() if name.startswith(("SLUICE_", "OMP_"))}
        environment |= {"PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}
        kind = self.ray.remote(Worker)
        return kind.options(num_cpus=self.cores, num_gpus=self.cards, runtime_env={"env_vars": environment}).remote(os.getcwd())


class Worker:
    """What runs items in a process of a Ray cluster."""

    def __init__(self, folder: str) -> None:
        os.chdir(folder)
        prepare_environment()

    def ready(self) -> None:
        """Answers when the process is there."""

    def run(self, work: Callable[[Any], Any], item: Any) -> Any:
        """One item."""
        return work(item)


def cards_and_cores(nodes: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """The cards of a cluster, and how many cores every one of them can have beside it on its node."""
    holding = [node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("GPU")]
    shares = [int(found.get("CPU", 0) // found["GPU"]) for found in holding]
    return sum(int(found["GPU"]) for found in holding), max(1, min(shares, default=1))


def check_losses(losses: Counter[int | None], place: int | None, items: Sequence[Any], n_actors: int, error: Exception) -> None:
    """Say that a worker was lost. Raises ShardError where an item has lost all its tries, or no worker can be started."""
    if place is None and losses[place] > TRIES * n_actors:
        raise ShardError(f"no worker can be started on the Ray cluster ({first_line(error)}): look at its logs")
    if place is not None:
        if losses[place] >= TRIES:
            raise ShardError(f"{items[place]} lost {TRIES} workers on the Ray cluster ({first_line(error)}): look at their memory")
        log.warning("a Ray worker was lost (%s): %s is tried again", first_line(error), items[place])


def first_line(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def connected() -> Any:
    """Ray's module, connected once. Raises ParamsError without Ray, or without the cluster, or for one that doesn't share this folder."""
    prepare_environment()
    try:
        import ray
    except ImportError:
        raise ParamsError("SLUICE_POOL=ray needs Ray: install the extra `ray`, or use serial or process") from None
    if ray.is_initialized():
        return ray
    address = os.environ.get("RAY_ADDRESS")
    try:
        check_answers(address)
        # Without an address given here Ray takes the one in the environment.
        ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=None if address else False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ParamsError(f"RAY_ADDRESS={address!r} names no Ray cluster that answers ({first_line(error)})") from None
    check_shared(ray, Path.cwd())
    return ray


def check_answers(address: str | None) -> None:
    """Raise OSError if nobody listens at HOST:PORT; Ray itself waits minutes before it says so."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit() and "://" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


def check_shared(ray: Any, folder: Path) -> None:
    """Raise ParamsError unless every node reads what is written here, and what it writes can be read here."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    token = uuid.uuid4().hex
    probe = folder / f".probe.{token}.tmp"
    answers: list[Path] = []
    try:
        probe.write_text(token)
        for node in ray.nodes():
            if not node["Alive"]:
                continue
            answers.append(probe.with_name(f".probe.{token}.{node['NodeID']}.tmp"))
            strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked = ray.remote(copy_probe).options(num_cpus=0, max_retries=0, scheduling_strategy=strategy).remote(probe, answers[-1])
            problem = ray.get(asked)
            if problem or not answers[-1].exists() or answers[-1].read_text() != token:
                raise ParamsError(
                    f"Ray node {node['NodeManagerAddress']} doesn't share {folder} ({problem or 'what it writes is not seen here'}): "
                    f"put the project on storage that all nodes mount under this path"
                )
    finally:
        for path in (probe, *answers):
            path.unlink(missing_ok=True)


def copy_probe(probe: Path, answer: Path) -> str:
    """On a node: copy one file beside another; what went wrong, or nothing."""
    try:
        answer.write_text(probe.read_text())
    except OSError as error:
        return str(error)
    return ""
