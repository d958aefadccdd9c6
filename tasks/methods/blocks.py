"""Work in blocks: what is as wide as an embedding lies in files that are mapped into memory, and is gone through some rows at a time.

Mapped pages are the system's to take back: what is read again soon stays in its cache, and memory doesn't grow with the rows.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from tasks.methods.vectors import release

BLOCK_BYTES = 1 << 24  # of one array of a block; what is computed of it holds a few of them


def blocks(n: int, row_bytes: int, *mapped: np.ndarray) -> Iterator[slice]:
    """Spans of the rows 0 to n - 1, in order, each of at most BLOCK_BYTES; after each the pages of `mapped` arrays are let go."""
    step = max(1, BLOCK_BYTES // max(row_bytes, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
        for array in mapped:
            release(array)


def products(matrix: np.ndarray, wanted: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Inner products of the rows `wanted` (m,) int of a matrix (n, d) with vectors (k, d), which gives (m, k), or with one (d,): (m,)."""
    found = np.zeros((len(wanted), *vectors.shape[:-1]), np.result_type(matrix, vectors))
    for part in blocks(len(wanted), 4 * matrix.shape[1], matrix):
        found[part] = matrix[wanted[part]] @ vectors.T
    return found


class Columns:
    """Arrays (n, ...) side by side, put together as float32 only for the rows that are asked for."""

    def __init__(self, *parts: np.ndarray) -> None:
        self.parts = parts
        self.shape = (len(parts[0]), sum(part.shape[1] for part in parts))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return np.concatenate([part[rows] for part in self.parts], axis=1).astype(np.float32)


def make_file(file: Path, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """An array of zeros in a new `file`, mapped into memory; one without a number has no file. Raises ValueError as `make_room`."""
    if not math.prod(shape):
        return np.zeros(shape, dtype)
    make_room(file, math.prod(shape) * np.dtype(dtype).itemsize, f"{shape[0]:,} rows of {file.name}", "make room there")
    return np.memmap(file, dtype, "r+", shape=shape)


def make_room(file: Path, needed: int, what: str, way_out: str) -> None:
    """Make `file` with room for so many bytes. Raises ValueError where the disk has not that much.

    A mapped file without its room would end the process in mid-write, without a word.
    """
    try:
        with file.open("wb") as opened:
            os.posix_fallocate(opened.fileno(), 0, needed)
    except OSError as error:
        file.unlink(missing_ok=True)
        raise ValueError(f"{what} take {needed / 1e9:.2f} GB in {file.parent}, which can't be had ({error.strerror}): {way_out}") from None
