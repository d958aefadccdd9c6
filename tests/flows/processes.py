"""Look at processes from outside."""

import time
from collections.abc import Callable
from pathlib import Path


def processes_in(folder: Path) -> list[str]:
    """`PID ARGUMENTS` of every process that works in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder.resolve():
                found.append(f"{process.name} {(process / 'cmdline').read_text().replace(chr(0), ' ')}")
        except OSError:
            continue
    return found


def gone(pid: int) -> bool:
    return wait_for(lambda: not Path(f"/proc/{pid}").exists() or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text(), 5)


def wait_for(done: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.1)
    return False
