"""One run at a time, and a killed one never blocks the next."""

import re
import signal
import subprocess
import sys
import time

import pytest

from flows.lock import WorkspaceBusy, workspace_lock
from tests.conftest import REPO

HOLD = """
import pathlib, sys, time
from flows.lock import workspace_lock
with workspace_lock("rebuild", path=pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".sluice" / "workspace.lock"


@pytest.fixture
def holder(path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], cwd=REPO, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_the_second_is_refused_and_told_who_has_it(path, holder, tmp_path):
    with pytest.raises(WorkspaceBusy) as caught, workspace_lock("refresh", path=path):
        pass
    pattern = rf"the workspace {re.escape(str(tmp_path))} is in use by rebuild \(process {holder.pid}, since 20.+\): wait for that run or"
    assert re.match(pattern, str(caught.value))


def test_waiting_ends_after_its_time(path, holder):
    began = time.monotonic()
    with pytest.raises(WorkspaceBusy), workspace_lock("refresh", wait_s=0.5, path=path):
        pass
    assert 0.4 < time.monotonic() - began < 5


def test_a_killed_holder_blocks_nobody(path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with workspace_lock("refresh", path=path):
        assert "refresh" in path.with_suffix(".json").read_text()
    with workspace_lock("refresh", path=path):
        pass


def test_an_unreadable_note_still_gives_a_message(path, holder):
    path.with_suffix(".json").write_text("{")
    with pytest.raises(WorkspaceBusy, match="in use by another run"), workspace_lock("refresh", path=path):
        pass
