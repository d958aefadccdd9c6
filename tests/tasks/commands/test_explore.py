"""The command: where it listens, whose verdicts it saves, and how it ends."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.cli import main
from tasks.commands.explore import listen, reviewer_name
from tasks.core.errors import SluiceError
from tests.tasks.test_catalog import build
from tests.workspace import environment


def test_it_listens_on_loopback_alone() -> None:
    with listen(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_port_that_can_not_be_had_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        for port in (taken, -1, 70000):
            with pytest.raises(SluiceError, match=rf"^port {port} can't be had \(.*\): give another one"):
                listen(port)


def test_whose_verdicts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reviewer_name(" ada ") == "ada"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(project / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (project / "gitconfig").write_text("[user]\nname = Bo\n")
    assert reviewer_name(None) == "Bo"
    (project / "gitconfig").write_text("")
    monkeypatch.setenv("LOGNAME", "cy")
    assert reviewer_name(None) == "cy"
    for name in ("", "  ", "x" * 81, "a\x1b[2Jb"):
        with pytest.raises(SluiceError, match="is no name"):
            reviewer_name(name)


def test_without_a_catalog_there_is_nothing_to_explore(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore"]) == 1
    assert "no catalog at data/catalog/sluice.duckdb: run `dvc repro catalog` first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--wrong", "3"], "--wrong says how many verdicts of a budget may be wrong: give the --budget too"),
        (["--budget", "3", "--sample", "x.csv"], "--sample and --budget each make the queue: give one of them"),
        (["--budget", "0"], "a budget of 0 verdicts, 1 of them wrong, can't be: ask for 1 or more, and 0 or more wrong ones"),
    ],
)
def test_a_queue_that_can_not_be_is_one_line(
    words: list[str], message: str, project: Path, repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build()
    assert main(["explore", *words]) == 1
    assert capsys.readouterr().err == f"error: {message}\n"


def test_it_answers_its_link_and_ends_when_told(project: Path, repo: Path) -> None:
    build()
    command = [sys.executable, "-m", "tasks.cli", "explore", "--reviewer", "ada"]
    process = subprocess.Popen(command, cwd=project, env=environment(repo), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        link = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/\?token=\S+)", process.stdout.readline().strip())
        assert link is not None
        connection = http.client.HTTPConnection("127.0.0.1", int(link[1]), timeout=20)
        connection.request("GET", "/")
        assert connection.getresponse().status == 403
        connection.close()
        connection.request("GET", link[2])
        answer = connection.getresponse()
        assert (answer.status, answer.headers["server"]) == (303, None)
        connection.close()
    finally:
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert errors == ""
