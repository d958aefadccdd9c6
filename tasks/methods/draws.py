"""Draw by hash: a number for each name that depends on nothing but the name and a salt, whatever stands before or beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np


def draws(names: Iterable[str], *, salt: str) -> np.ndarray:
    """(n,) float64 in [0, 1): uniform over names, and independent between salts, by BLAKE2b of both.

    52 bits, so that a draw times a count is less than the count in floating point too.
    """
    start = hashlib.blake2b(f"{salt}\0".encode(), digest_size=8)
    numbers = []
    for name in names:
        state = start.copy()
        state.update(name.encode())
        numbers.append((int.from_bytes(state.digest(), "big") >> 12) / 2**52)
    return np.array(numbers, np.float64)
