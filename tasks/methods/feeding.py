"""Feed an encoder: batches of pixels, in the order of a tar, out of its images; decoded here or ahead in processes of its own."""

import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np

from tasks.methods.pictures import DECODER_ERRORS, square

PART = 32  # images that a process decodes at a time: a small batch keeps several of them busy
Place = tuple[str, int, int]  # of an image in a tar: its key, first byte and number of bytes
Spent = defaultdict[str, float]


class Feed(Protocol):
    """Where pixels come from."""

    def batches(self, tar: Path, places: Sequence[Place], spent: Spent) -> Iterator[np.ndarray]:
        """(n, side, side, 3) uint8 of so many images after one another; a batch is gone once the next one is asked for.

        Adds the milliseconds of `read` and `decode` to `spent`. Raises ValueError that names a damaged image, OSError for a tar.
        """
        ...


@dataclass
class Inline:
    """Decodes in this process, when a batch is asked for: for an encoder on the same processor, where nothing is gained ahead."""

    batch_size: int
    side: int

    def batches(self, tar: Path, places: Sequence[Place], spent: Spent) -> Iterator[np.ndarray]:
        for start in range(0, len(places), self.batch_size):
            part = places[start : start + self.batch_size]
            pixels = np.empty((len(part), self.side, self.side, 3), np.uint8)
            for name, value in decode_part(tar, part, pixels).items():
                spent[name] += value
            yield pixels


class Ahead:
    """Decodes in `workers` processes, a batch per worker and two more ahead of the one asked for; pixels travel in shared memory."""

    def __init__(self, batch_size: int, side: int, workers: int, prepare: Callable[[], None]) -> None:
        self.batch_size, self.workers = batch_size, workers
        self.shape = (self.slots(workers, batch_size), batch_size, side, side, 3)
        self.memory = SharedMemory(create=True, size=int(np.prod(self.shape)))
        self.pixels: np.ndarray = np.ndarray(self.shape, np.uint8, self.memory.buf)
        # Spawned, not forked: torch keeps threads that don't survive a fork.
        self.executor = ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=attach, initargs=(prepare, self.memory.name, self.shape)
        )

    @staticmethod
    def slots(workers: int, batch_size: int) -> int:
        """Batches in memory: all workers have parts to decode, one batch is being sent, one waits."""
        return -(-workers * PART // batch_size) + 2

    def batches(self, tar: Path, places: Sequence[Place], spent: Spent) -> Iterator[np.ndarray]:
        starts = deque(range(0, len(places), self.batch_size))
        free = deque(range(self.shape[0]))
        under_way: deque[tuple[int, int, list[Future[dict[str, float]]]]] = deque()
        try:
            while starts or under_way:
                while starts and free:
                    start, slot = starts.popleft(), free.popleft()
                    batch = places[start : start + self.batch_size]
                    parts = [
                        self.executor.submit(decode_into, tar, batch[first : first + PART], slot, first)
                        for first in range(0, len(batch), PART)
                    ]
                    under_way.append((slot, len(batch), parts))
                slot, n_images, parts = under_way.popleft()
                for part in parts:
                    for name, value in part.result().items():
                        spent[name] += value
                yield self.pixels[slot, :n_images]
                free.append(slot)
        finally:
            left = [part for _, _, parts in under_way for part in parts if not part.cancel()]
            wait(left)  # a part that is still written would spoil the slots of the next tar

    def close(self) -> None:
        """End the processes and give the memory back."""
        self.executor.shutdown(wait=True, cancel_futures=True)
        del self.pixels
        self.memory.close()
        self.memory.unlink()


@dataclass
class Attached:
    """The shared memory, in a decoding process."""

    memory: SharedMemory
    pixels: np.ndarray


ATTACHED: list[Attached] = []


def attach(prepare: Callable[[], None], name: str, shape: tuple[int, ...]) -> None:
    """What a decoding process does first."""
    prepare()
    memory = SharedMemory(name)
    ATTACHED[:] = [Attached(memory, np.ndarray(shape, np.uint8, memory.buf))]


def decode_into(tar: Path, places: Sequence[Place], slot: int, first: int) -> dict[str, float]:
    """Decode some images into their places of a slot of the shared memory."""
    return decode_part(tar, places, ATTACHED[0].pixels[slot, first : first + len(places)])


def decode_part(tar: Path, places: Sequence[Place], pixels: np.ndarray) -> dict[str, float]:
    """Read and decode images of a tar into (n, side, side, 3) uint8; milliseconds of both.

    Raises ValueError that names a damaged image.
    """
    began = perf_counter()
    with tar.open("rb", buffering=0) as file:
        stored = [os.pread(file.fileno(), size, offset) for _, offset, size in places]
    read = perf_counter()
    for row, ((key, _, size), data) in enumerate(zip(places, stored, strict=True)):
        if len(data) < size:
            raise ValueError(f"image {key} of {tar} is damaged (the tar ends in it)")
        try:
            pixels[row] = square(data, pixels.shape[1])
        except DECODER_ERRORS as error:
            raise ValueError(f"image {key} of {tar} is damaged ({error})") from None
    return {"read": 1000 * (read - began), "decode": 1000 * (perf_counter() - read)}
