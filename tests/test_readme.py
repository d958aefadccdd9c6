"""Run the README's commands, as far as they can run offline, and hold .ci/run to its words."""

import re
import shlex
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import REPO
from tests.workspace import environment

README = (REPO / "README.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
RUN = ".tools/bin/uv run "
# Run by .ci/run, by tests/test_pipeline.py and by tests/flows/test_deployments.py, in the same words.
ELSEWHERE = ("pytest", "dvc repro", "prefect", "python -m flows.server")


def test_every_command_is_run_somewhere():
    inside = [command.split(RUN)[1].rstrip('")') for command in COMMANDS]
    assert [words for words in inside if not words.startswith((*ELSEWHERE, "sluice"))] == []


def test_ci_runs_the_two_test_commands():
    script = (REPO / ".ci" / "run").read_text()
    tests = [command for command in COMMANDS if "pytest" in command]
    assert len(tests) == 2
    assert all(command in script for command in tests)


def test_the_first_command_installs_inside_the_clone_only():
    first = COMMANDS[0]
    assert first.startswith("python3 -m pip install -q --target .tools uv && .tools/bin/uv run dvc repro")
    assert ".tools/" in (REPO / ".gitignore").read_text()


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith(RUN + "sluice")])
def test_sluice_command(command, finished):
    rows = {"url": ["http://demo.test/demo-1/img/000002.jpg"] * 2, "alt_text": ["a cat", "a tabby"], "concept": ["cat", "cat"]}
    pq.write_table(pa.table(rows), finished / "mine.parquet")
    url = re.search(r"http://demo\.test/demo-1/\S+", command)
    if url:  # the toy has fewer rows than the demo that the README shows
        command = command.replace(url[0], pq.read_table(finished / "data/curated/samples", columns=["url"])["url"][0].as_py())
    words = shlex.split(command.removeprefix(RUN + "sluice"))
    try:
        done = subprocess.run(
            ["python", "-m", "tasks.cli", *words], cwd=finished, capture_output=True, text=True, env=environment(finished)
        )
    finally:
        if words[0] == "crawl":
            remove = ["python", "-m", "tasks.cli", "crawl", "remove", "mine", "--purge"]
            subprocess.run(remove, cwd=finished, env=environment(finished), check=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
