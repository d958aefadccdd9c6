"""Limit memory: whatever runs inside can't make this process larger than it is by more than was granted."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATM = Path("/proc/self/statm")


@contextmanager
def limited_memory(megabytes: int) -> Iterator[None]:
    """Requests for address space beyond `megabytes` more than now fail inside the `with` block: MemoryError, or a decoder's own error.

    Where the system doesn't tell how large a process is (no /proc), there is no limit.
    """
    try:
        pages = int(STATM.read_bytes().split(maxsplit=1)[0])
    except OSError:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = pages * resource.getpagesize() + megabytes * 1_000_000
    limits = [limit for limit in (soft, hard, wanted) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
