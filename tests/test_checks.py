"""Run the linters that the project lives by."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["lint-imports", "--no-cache"]],
    ids=lambda command: "-".join(command[:2]),
)
def test_check(command):
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=REPO, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_line_imports_nothing_heavy():
    code = "import sys, tasks.cli; print([m for m in ('torch', 'prefect', 'ray', 'great_expectations', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_changelog_names_the_version():
    version = next(line.split('"')[1] for line in (REPO / "pyproject.toml").read_text().splitlines() if line.startswith("version"))
    assert f"## {version} " in (REPO / "CHANGELOG.md").read_text()
