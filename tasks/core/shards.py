"""Map a function over shards: one after the other, in worker processes, or on a Ray cluster.

Results come back in the order of the items, so that a stage doesn't depend on who was faster.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tasks.core.arrow import spare_pandas
from tasks.core.errors import ShardError
from tasks.core.processes import die_with_parent
from tasks.core.settings import Settings, prepare_environment

T = TypeVar("T")
R = TypeVar("R")
WORKER = "SLUICE_WORKER"  # the number of a worker process, in its environment


@dataclass(frozen=True)
class Placement:
    """Where a pool's workers compute: the devices that they share out among themselves, and the cores that each may use."""

    devices: tuple[str, ...]
    cores: int

    @property
    def kind(self) -> str:
        """cpu or cuda."""
        return self.devices[0].split(":")[0]

    def device(self) -> str:
        """The device of the worker that asks."""
        return self.devices[int(os.environ.get(WORKER, "0")) % len(self.devices)]


class ShardPool(Protocol):
    """Where shard work runs."""

    workers: int

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results in the order of the items. Raises what the first failing item raised; a lost worker is a ShardError."""
        ...

    def limited(self, workers: int) -> "ShardPool":
        """The same pool with at most so many workers."""
        ...

    def placed(self, settings: Settings) -> "tuple[ShardPool, Placement]":
        """The pool for work on the settings' devices: on CUDA one worker per card. Raises DeviceError for a device that isn't there."""
        ...


class SerialPool:
    """Run in this process, one item after the other."""

    workers = 1

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        return map(work, items)

    def limited(self, workers: int) -> "SerialPool":  # noqa: ARG002  one is the least
        return self

    def placed(self, settings: Settings) -> "tuple[SerialPool, Placement]":
        return self, Placement((settings.torch_device(),), max(1, settings.workers))


class ProcessPool:
    """Run in `workers` fresh processes that end with this one."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def limited(self, workers: int) -> "ProcessPool":
        return ProcessPool(max(1, min(self.workers, workers)))

    def placed(self, settings: Settings) -> "tuple[ProcessPool, Placement]":
        devices = settings.torch_devices()
        if devices == ("cpu",):
            return self, Placement(devices, 1)
        return ProcessPool(len(devices)), Placement(devices, max(1, self.workers // len(devices)))

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        if not items:
            return
        # Spawned, not forked: torch and FAISS keep threads that don't survive a fork.
        context = multiprocessing.get_context("spawn")
        numbers = context.Value("i", 0)
        executor = ProcessPoolExecutor(min(self.workers, len(items)), mp_context=context, initializer=start_worker, initargs=(numbers,))
        waiting = list(reversed(list(enumerate(items))))
        running: dict[Future[R], int] = {}
        finished: dict[int, R] = {}
        try:
            for index in range(len(items)):
                while index not in finished:
                    while waiting and len(running) < 2 * self.workers:  # one item ahead each: memory stays bounded
                        place, item = waiting.pop()
                        running[executor.submit(work, item)] = place
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        finished[running.pop(future)] = future.result()
                yield finished.pop(index)
        except BrokenProcessPool:
            raise ShardError("a worker process ended (killed, or out of memory): run `dvc repro` again to resume") from None
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def start_worker(numbers: Any) -> None:
    """What every worker process does first; `numbers` counts them."""
    die_with_parent()
    prepare_environment()
    spare_pandas()
    with numbers.get_lock():
        os.environ[WORKER] = str(numbers.value)
        numbers.value += 1


def make_pool(settings: Settings) -> ShardPool:
    """The pool that SLUICE_POOL asks for."""
    if settings.pool == "serial":
        return SerialPool()
    if settings.pool == "process":
        return ProcessPool(settings.workers)
    from tasks.core.cluster import RayPool

    return RayPool(settings.workers if "SLUICE_WORKERS" in os.environ else None)
