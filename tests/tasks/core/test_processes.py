import subprocess
import sys
import time

from tests.tasks.core.test_shards import _alive, _wait_for_pid

CHILD = """
import os, sys, time
from tasks.core.processes import die_with_parent
die_with_parent()
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(60)
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], sys.argv[2]])"


def test_a_process_ends_with_its_killed_parent(tmp_path, repo):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD, str(tmp_path / "pid")], cwd=repo)
    pid = _wait_for_pid(tmp_path / "pid")
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _alive(pid):
        time.sleep(0.05)
    assert not _alive(pid)
