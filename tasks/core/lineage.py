"""Record runs: who made what, when, on which machine, with which versions and settings.

Lineage lies outside the graph (`.sluice/runs`): clocks and hosts would make every run look like a change.
"""

import json
import logging
import os
import platform
import resource
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tasks.core.files import write_atomically
from tasks.core.settings import Settings
from tasks.core.tables import to_json

RUNS = Path(".sluice/runs")
FETCHES = Path(".sluice/fetches")  # a folder per crawl
RECORDED_VERSIONS = ("sluice", "torch", "open_clip_torch", "faiss-cpu", "faiss-gpu", "numpy", "pyarrow", "duckdb", "scikit-learn", "pillow")
log = logging.getLogger(__name__)


@contextmanager
def record_run(stage: str, item: str, settings: Settings, folder: Path = RUNS) -> Iterator[dict[str, Any]]:
    """Time a stage and write one JSON file about it, also when it fails; the caller may add `metrics`."""
    run: dict[str, Any] = {"run_id": uuid.uuid4().hex, "stage": stage, "item": item, "metrics": {}}
    run |= {"started": datetime.now(UTC).isoformat(), "status": "failed", "settings": asdict(settings)}
    run |= {"host": platform.node(), "platform": platform.platform(), "python": platform.python_version(), "pid": os.getpid()}
    run["versions"] = dict(_versions())
    began = time.monotonic()
    try:
        yield run
        run["status"] = "completed"
    finally:
        run["seconds"] = round(time.monotonic() - began, 3)
        run["peak_memory_mb"] = round(_peak_memory_mb(), 1)
        _write(run, folder)
        log.info("%s: %s in %.1f s, at most %.0f MB", stage, run["status"], run["seconds"], run["peak_memory_mb"])


def _write(run: Mapping[str, Any], folder: Path) -> None:
    """Write the record; a full disk must not hide the stage's own error."""
    try:
        with write_atomically(folder / f"{run['started'][:19].replace(':', '')}-{run['stage']}-{run['run_id'][:8]}.json") as path:
            path.write_text(to_json(run))
    except OSError as error:
        log.warning("the run is not recorded: %s", error)


def read_runs(folder: Path = RUNS) -> list[dict[str, Any]]:
    """All recorded runs, oldest first."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def last_runs(runs: list[dict[str, Any]]) -> Mapping[tuple[str, str], dict[str, Any]]:
    """The last completed run of every stage and item."""
    return {(run["stage"], run["item"]): run for run in runs if run["status"] == "completed"}


def _versions() -> Iterator[tuple[str, str]]:
    for name in RECORDED_VERSIONS:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _peak_memory_mb() -> float:
    """Of this process and the largest of its ended children, in MB."""
    used = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used) / 1024
