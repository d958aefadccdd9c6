"""Decode tar shards: pictures of one size, written to their places in a file that is mapped into memory."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.methods.blocks import make_room
from tasks.methods.pictures import squares
from tasks.methods.tars import read_images

DECODED_AT_ONCE = 256


@dataclass(frozen=True)
class Decoding:
    """One tar's share of the work: the places in the file of pixels that each key's picture goes to."""

    tar: Path
    places: dict[str, list[int]]


def reserve(file: Path, shape: tuple[int, ...]) -> None:
    """Make `file` with room for pictures of this shape, uint8. Raises ValueError where the disk has not that much."""
    make_room(file, math.prod(shape), f"{shape[0]:,} pictures of {shape[1]} pixels", "make room there, or lower image_size")


def decode_tar(job: Decoding, file: Path, shape: tuple[int, ...]) -> None:
    """Write one tar's pictures to their places in `file`, (n, side, side, 3) uint8."""
    pictures = np.memmap(file, np.uint8, "r+", shape=shape)
    waiting: list[tuple[str, bytes]] = []

    def flush() -> None:
        for (key, _), picture in zip(waiting, squares([data for _, data in waiting], shape[1]), strict=True):
            pictures[job.places[key]] = picture
        waiting.clear()

    for found in read_images(job.tar, job.places.keys()):
        waiting.append(found)
        if len(waiting) == DECODED_AT_ONCE:
            flush()
    flush()
    pictures.flush()
