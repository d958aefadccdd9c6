"""Limit memory: whatever runs inside can't make this process larger than it is by more than was granted."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

STATM = "/proc/self/statm"
PAGE_BYTES = resource.getpagesize()


@contextmanager
def limited_memory(megabytes: int) -> Iterator[None]:
    """Requests for address space beyond `megabytes` more than now fail inside the `with` block: MemoryError, or a decoder's own error.

    Where the system doesn't tell how large a process is (no /proc), there is no limit.
    """
    try:
        pages = _pages()
    except OSError:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = pages * PAGE_BYTES + megabytes * 1_000_000
    limits = [limit for limit in (soft, hard, wanted) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _pages() -> int:
    """Pages of address space; read without a buffer, since this runs for every picture."""
    file = os.open(STATM, os.O_RDONLY)
    try:
        return int(os.read(file, 100).split(maxsplit=1)[0])
    finally:
        os.close(file)
