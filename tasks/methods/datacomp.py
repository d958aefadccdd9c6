"""Write DataComp's subset format: a sorted array of 128-bit uids, as its resharder reads it."""

import re
from collections.abc import Iterable

import numpy as np

UID = re.compile(r"[0-9a-f]{32}")
DTYPE = np.dtype("u8,u8")


def subset(uids: Iterable[str]) -> np.ndarray:
    """(n,) of dtype "u8,u8": the first and the last 16 hex digits of each uid, sorted, without repeats.

    Raises ValueError for a uid that isn't 32 hex digits.
    """
    distinct = sorted(set(uids))
    for uid in distinct:
        if not UID.fullmatch(uid):
            raise ValueError(f"uid {uid[:80]!r} is not 32 hex digits, as DataComp has them")
    return np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in distinct], DTYPE)
