"""Kill `ingest` and `embed` in the middle: the next `dvc repro` resumes, and ends with the same bytes; no process is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workspace import environment, repro, set_params, table_bytes, toy_workspace

pytestmark = pytest.mark.slow
WORKERS = 2


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = small(tmp_path_factory.mktemp("undisturbed") / "workspace")
    repro(folder, "embed", SLUICE_WORKERS=str(WORKERS))
    return table_bytes(folder)


def small(folder: Path) -> Path:
    """A toy workspace with one crawl in shards of 20 images."""
    toy_workspace(folder)
    set_params(folder, crawls=["demo-1"], demos=["demo-1"], generate={"settings": {"rows_per_shard": 20}})
    return folder


def processes_in(folder: Path) -> list[int]:
    """Living processes whose current folder is the workspace."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if Path(os.readlink(entry / "cwd")) == folder and "Z" not in (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("stage", ["ingest", "embed"])
def test_killed_and_resumed_gives_the_same_bytes(stage, undisturbed, tmp_path):
    folder = small(tmp_path / "workspace")
    if stage == "embed":
        repro(folder, "prepare_encoder")
    shards = folder / "data" / {"ingest": "records", "embed": "embeddings"}[stage] / "demo-1"
    command = [sys.executable, "-m", "dvc", "repro", stage]
    running = subprocess.Popen(command, cwd=folder, env=environment(folder, SLUICE_WORKERS=str(WORKERS)), stdout=subprocess.DEVNULL)
    assert wait_until(lambda: len(list(shards.glob("[!.]*.parquet"))) >= 3, 90)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert wait_until(lambda: not processes_in(folder), 10), f"left running: {processes_in(folder)}"
    before = {path.name: path.stat().st_mtime_ns for path in shards.glob("[!.]*.parquet")}
    total = sum(name.startswith(f"data/{shards.parent.name}/") for name in undisturbed)
    assert 3 <= len(before) < total, "killed too late to show anything"
    repro(folder, "embed", SLUICE_WORKERS=str(WORKERS))
    kept = [name for name, written in before.items() if (shards / name).stat().st_mtime_ns == written]
    assert len(before) - len(kept) <= WORKERS
    after = table_bytes(folder)
    assert sorted(after) == sorted(undisturbed)
    assert [name for name in after if after[name] != undisturbed[name]] == []
