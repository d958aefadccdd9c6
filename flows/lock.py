"""Lock the workspace: one run writes to it at a time, and a killed run never blocks the next.

The kernel holds the lock for the process that has the file open; when that process ends, however it ends, the lock is free.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from tasks.core.errors import SluiceError
from tasks.core.files import write_atomically

LOCK_FILE = Path(".sluice/workspace.lock")


class WorkspaceBusy(SluiceError):
    """Another run has the workspace."""


@contextmanager
def workspace_lock(holder: str, wait_s: float = 0.0, path: Path = LOCK_FILE) -> Iterator[None]:
    """Have the workspace alone. Raises WorkspaceBusy, naming who has it, after `wait_s` seconds of waiting."""
    path.parent.mkdir(parents=True, exist_ok=True)
    note = path.with_suffix(".json")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        where = path.resolve().parents[1]
        raise WorkspaceBusy(f"the workspace {where} is in use by {_read(note)}: wait for that run or cancel it, then start again") from None
    try:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        with write_atomically(note) as temporary:
            temporary.write_text(json.dumps({"holder": holder, "pid": os.getpid(), "started": started}))
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _read(note: Path) -> str:
    try:
        found = json.loads(note.read_text())
        return f"{found['holder']} (process {found['pid']}, since {found['started']})"
    except (OSError, ValueError, KeyError):
        return "another run"
