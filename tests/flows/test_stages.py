"""The order is DVC's, a stage's own message gets through, and nothing is left running."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.stages import Graph, StageCut, StageFailed, changed_stages, failure, read_graph, run_command, run_stage
from tests.conftest import REPO
from tests.flows.processes import gone, processes_in, wait_for
from tests.flows.workspace import make_workspace

GRAPH = Graph(
    order=("ingest@a", "ingest@b", "index", "report"),
    needs={
        "ingest@a": frozenset(),
        "ingest@b": frozenset(),
        "index": frozenset({"ingest@a", "ingest@b"}),
        "report": frozenset({"index", "ingest@a", "ingest@b"}),
    },
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A built workspace, and the stages in the order in which DVC itself ran them."""
    folder = make_workspace(tmp_path_factory.mktemp("built"))
    command = [sys.executable, "-m", "dvc", "repro"]
    said = subprocess.run(command, cwd=folder, check=True, env=path_of_this_python(), capture_output=True, text=True).stdout
    return folder, [line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")]


def path_of_this_python() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_closure_downstream_and_own_stages():
    assert GRAPH.closure(["index"]) == ["ingest@a", "ingest@b", "index"]
    assert GRAPH.downstream(["ingest@b"]) == ["index", "report"]
    assert GRAPH.of_crawl("b") == ["ingest@b"]


def test_find_takes_addresses_and_groups():
    assert GRAPH.find(["ingest", "report"]) == ["ingest@a", "ingest@b", "report"]
    with pytest.raises(StageFailed, match=r"stage 'embedd' is not in dvc.yaml \(there are: ingest@a, ingest@b, index, report\)"):
        GRAPH.find(["embedd"])


def test_the_projects_own_order_puts_every_stage_after_what_it_needs():
    graph = read_graph(REPO)
    place = {address: number for number, address in enumerate(graph.order)}
    assert len(graph.order) > 5
    assert all(place[other] < place[address] for address in graph.order for other in graph.needs[address])


def test_order_agrees_with_dvcs_own_run(built):
    folder, ran = built
    graph = read_graph(folder)
    assert set(ran) == set(graph.order) == {"ingest@old", "validate@old", "prepare", "index", "curate", "catalog"}
    assert all(graph.needs[address] <= set(ran[: ran.index(address)]) for address in ran)
    assert graph.needs["index"] == {"ingest@old", "validate@old", "prepare"}
    assert graph.order[-1] == ran[-1] == "catalog"


def test_changed_is_what_dvc_would_run(built):
    folder, _ = built
    assert changed_stages(folder) == set()
    (folder / "clean.txt").write_text("cleaner")
    assert changed_stages(folder) == {"prepare"}


def test_a_stage_runs_and_says_its_lines(tmp_path):
    folder, said = make_workspace(tmp_path), []
    run_stage("ingest@old", said.append, folder)
    assert "ingest reads old rows" in said
    assert (folder / "data/records/old").read_text() == "ingest(old rows)"


def test_a_failing_stage_gives_its_own_message(tmp_path):
    folder = make_workspace(tmp_path)
    (folder / "data/crawls/old").write_text("poison")
    run_stage("ingest@old", lambda line: None, folder)
    with pytest.raises(StageFailed) as caught:
        run_stage("validate@old", lambda line: None, folder)
    assert str(caught.value) == "validate: crawl refused: expect_table_columns: 'url' is missing"


@pytest.mark.parametrize(
    ("lines", "code", "kind", "message"),
    [
        (["a", "b", "c", "d"], 137, StageCut, "ended with 137: b | c | d"),
        ([], 1, StageCut, "ended with 1: no output"),
        (["error: one", "error: two", "ERROR: failed to reproduce"], 1, StageFailed, "two"),
        (["error: no space left", "ERROR: failed to run: python -m tasks.ingest, exited with 75"], 255, StageCut, "no space left"),
        (["error: no space left"], 75, StageCut, "no space left"),
    ],
)
def test_failure_tells_the_stage_from_what_ended_it(lines, code, kind, message):
    found = failure(lines, code)
    assert type(found) is kind
    assert str(found) == message


def test_an_interrupted_command_leaves_no_process(tmp_path):
    sleep = "[sys.executable, '-c', 'import time; time.sleep(60)']"
    script = f"import subprocess, sys; child = subprocess.Popen({sleep}); print(child.pid, flush=True); child.wait()"
    seen = []

    def interrupt(line: str) -> None:
        seen.append(int(line))
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_command([sys.executable, "-c", script], interrupt, tmp_path)
    assert time.monotonic() - began < 10
    assert gone(seen[0])


def test_what_takes_too_long_is_stopped_with_all_that_it_started(tmp_path):
    sleep = "[sys.executable, '-c', 'import time; time.sleep(60)']"
    script = f"import subprocess, sys; child = subprocess.Popen({sleep}); print(child.pid, flush=True); child.wait()"
    seen = []
    began = time.monotonic()
    with pytest.raises(StageCut, match="had not ended after 0.05 minutes and was stopped: start again to resume it"):
        run_command([sys.executable, "-c", script], lambda line: seen.append(int(line)), tmp_path, seconds=3)
    assert time.monotonic() - began < 20
    assert gone(seen[0])


def test_what_ends_in_time_is_not_disturbed(tmp_path):
    seen = []
    run_command([sys.executable, "-c", "print('done')"], seen.append, tmp_path, seconds=60)
    assert seen == ["done"]


def test_a_killed_runner_leaves_no_process(tmp_path):
    folder = make_workspace(tmp_path)
    (folder / "data/crawls/old").write_text("hang")
    code = "from flows.stages import run_stage; run_stage('ingest@old', lambda line: None)"
    runner = subprocess.Popen([sys.executable, "-c", code], cwd=folder)
    try:
        assert wait_for((folder / "hanging").exists, 30)
        assert len(processes_in(folder)) >= 3  # the runner, DVC, the stage
    finally:
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    # What the stage itself started ends with `die_with_parent` too in real stages; here it is a plain sleep.
    assert wait_for(lambda: not [found for found in processes_in(folder) if "stage.py" in found or "dvc" in found], 10)
    for found in processes_in(folder):
        os.kill(int(found.split()[0]), signal.SIGKILL)
