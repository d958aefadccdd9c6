"""Watch a command: its CPU seconds, and the largest memory that it and its children held together."""

import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Used:
    """What a command took. Memory is the sum of the resident sets of all its processes, looked at five times a second."""

    returncode: int
    seconds: float
    cpu_seconds: float
    peak_memory_mb: float


def watched(command: Sequence[str], folder: Path) -> Used:
    """Run a command in a folder; its output goes to standard error."""
    before = _cpu_seconds()
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=sys.stderr)
    tree, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        peak = max(peak, _resident(tree))
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return Used(process.returncode, time.monotonic() - began, _cpu_seconds() - before, peak / 1e6)


def forget_largest() -> None:
    """Begin anew with `largest_resident`."""
    Path("/proc/self/clear_refs").write_text("5")


def largest_resident() -> int:
    """Bytes of this process's largest resident set so far. (The kernel's own record in getrusage begins with the parent's.)"""
    return _status("VmHWM")


@contextmanager
def watching_private() -> Iterator[list[int]]:
    """Gives a list that in the end holds the bytes of this process's largest private memory inside the `with` block: without the pages of
    mapped files, which the system may take back. Looked at a hundred times a second."""
    found, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            found[0] = max(found[0], _status("RssAnon"))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _status(name: str) -> int:
    """Bytes of an entry of /proc/self/status."""
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(found.split()[1]) * 1024


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _resident(tree: psutil.Process) -> int:
    total = 0
    with suppress(psutil.Error):
        for process in [tree, *tree.children(recursive=True)]:
            with suppress(psutil.Error):
                total += process.memory_info().rss
    return total
