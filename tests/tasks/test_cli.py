"""The command line answers at once and imports nothing heavy."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.cli import main, make_parser

HEAVY = ("torch", "prefect", "ray", "great_expectations", "pandas", "pyarrow", "duckdb", "numpy", "rich", "dvc")


def test_importing_the_command_line_pulls_in_nothing_heavy(repo: Path) -> None:
    code = f"import sys, tasks.cli; tasks.cli.make_parser(); print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=repo, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_help_takes_under_a_second(repo: Path) -> None:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "tasks.cli", "--help"], cwd=repo, capture_output=True, text=True, check=True)
    assert time.monotonic() - began < 1.0
    for command in ("crawl", "plan", "query", "explain", "similar", "search", "export", "forget"):
        assert command in done.stdout


def test_every_command_has_its_module(repo: Path) -> None:
    rest = (["similar", "x"], ["search", "x"], ["export", "datacomp", "x"], ["forget", "x"])
    for words in (["crawl", "list"], ["plan"], ["query"], ["explain", "x"], *rest):
        command = make_parser().parse_args(words).command
        assert (repo / "tasks" / "commands" / f"{command}.py").is_file()


def test_outside_a_project_the_error_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["crawl", "list"]) == 1
    assert capsys.readouterr().err == "error: params.yaml not found: run this from the top folder of the project\n"


def test_a_reader_that_leaves_early_is_no_error(repo: Path) -> None:
    code = "import sys, tasks.cli, tasks.commands.query as q; q.run = lambda _: [print('x' * 1000) for _ in range(10_000)]"
    command = f'"{sys.executable}" -c "{code}; raise SystemExit(tasks.cli.main([\'query\']))" | head -c 10'
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=repo, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "x" * 10)
