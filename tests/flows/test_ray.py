"""The flow `rebuild` on a Ray cluster of two nodes gives the tables that `dvc repro` gives on this machine."""

import shutil
import subprocess
import sys

import pytest

from tests.workspace import environment, repro, set_params, table_bytes, toy_workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
DRIVER = """
import os, subprocess, sys
from tasks.core.settings import prepare_environment

prepare_environment()
from ray.cluster_utils import Cluster

nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 10**8, "include_dashboard": False})
nodes.add_node(num_cpus=1, object_store_memory=10**8)
environment = {**os.environ, "RAY_ADDRESS": nodes.address, "SLUICE_POOL": "ray"}
try:
    done = subprocess.run([sys.executable, "-m", "flows.rebuild"], env=environment)
finally:
    nodes.shutdown()
    subprocess.run([sys.executable, "-m", "flows.server", "stop"])
sys.exit(done.returncode)
"""
# A busy machine starts nodes slowly, and gives nice workers no time.
PATIENT = {"RAY_raylet_start_wait_time_s": "400", "RAY_agent_register_timeout_ms": "400000", "RAY_worker_niceness": "0"}


def test_a_rebuild_on_two_nodes_gives_the_tables_of_this_machine(finished, tmp_path_factory):
    pytest.importorskip("ray", reason="no ray here: install the extra `ray`")
    set_params(finished, crawls=["demo-1"], demos=["demo-1"])
    repro(finished)
    folder = toy_workspace(tmp_path_factory.mktemp("ray") / "workspace")
    shutil.copy(finished / "params.yaml", folder)
    hidden = ("SLUICE_WORKERS", "RAY_ADDRESS", "PREFECT_HOME", "PREFECT_API_URL")
    variables = {name: value for name, value in environment(folder, **PATIENT).items() if name not in hidden}
    done = subprocess.run([sys.executable, "-c", DRIVER], cwd=folder, env=variables, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert "Finished in state Completed()" in done.stdout + done.stderr
    made, expected = (made_by(place) for place in (folder, finished))
    assert len(made) > 20
    assert made.keys() == expected.keys()
    assert [path for path in made if made[path] != expected[path]] == []


def made_by(folder):
    """The tables that a run makes; the catalog's have clocks in them, and other tests may have left a second crawl."""
    return {path: data for path, data in table_bytes(folder).items() if "catalog" not in path and "demo-2" not in path}
