"""The deployments of prefect.yaml on a real local server, with a real worker: taken in, refused, cancelled."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from flows import server
from tests.flows.processes import processes_in, wait_for
from tests.flows.workspace import make_workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
RUN_SECONDS = 180.0


class Site:
    """A workspace with its own server, worker and deployments."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_workspace(folder)
        self.home = folder / ".prefect"
        self.url = server.start(self.home)
        self.worker: subprocess.Popen[bytes] | None = None

    @property
    def variables(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, **server.environment(self.home, self.url), "PATH": path}

    def prefect(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *words],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start_worker(self) -> None:
        log = (self.folder / "worker.log").open("wb")
        self.worker = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", "sluice"],
            cwd=self.folder,
            env=self.variables,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()

    def run(self, deployment: str, **parameters: object) -> str:
        """Start a run; gives its id."""
        words = [word for name, value in parameters.items() for word in ("-p", f"{name}={json.dumps(value)}")]
        said = self.prefect("deployment", "run", deployment, *words)
        return next(word for word in said.split() if word.count("-") == 4 and len(word) == 36)

    def ask(self, path: str, body: object = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.url}/{path}", data=data, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def scheduled(self) -> list[str]:
        """Names of the runs that the scheduler has made."""
        return [run["name"] for run in self.ask("flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}})]

    def state(self, run: str) -> tuple[str, str]:
        """Type and message of a run's state."""
        found = self.ask(f"flow_runs/{run}")["state"]
        return found["type"], found.get("message") or ""

    def wait(self, run: str, *types: str) -> tuple[str, str]:
        wanted = types or ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        wait_for(lambda: self.state(run)[0] in wanted, RUN_SECONDS)
        return self.state(run)

    def stop(self) -> None:
        if self.worker:
            os.killpg(self.worker.pid, signal.SIGTERM)
            try:
                self.worker.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.worker.pid, signal.SIGKILL)
                self.worker.wait()
        server.stop(self.home)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    found = Site(tmp_path_factory.mktemp("site") / "workspace")
    try:
        found.prefect("work-pool", "create", "sluice", "--type", "process")
        found.prefect("deploy", "--all")
        found.start_worker()
        yield found
    finally:
        found.stop()


def test_a_second_start_finds_the_first(site):
    assert server.start(site.home) == site.url


def test_rebuild_makes_everything(site):
    assert site.wait(site.run("rebuild/rebuild"))[0] == "COMPLETED"
    assert (site.folder / "data/index").read_text() == "index(validate(ingest(old rows)))"


def test_refresh_is_scheduled(site):
    said = site.prefect("deployment", "inspect", "refresh/refresh")
    assert "0 3 * * *" in said
    assert wait_for(lambda: len(site.scheduled()) > 0, 90)


def test_refused_then_taken_in(site):
    (site.folder / "bad.csv").write_text("poison")
    kind, message = site.wait(site.run("refresh/refresh", name="next", manifest="bad.csv"))
    assert kind == "FAILED"
    assert "crawl 'next' was refused by validate@next: validate: crawl refused: expect_table_columns: 'url' is missing" in message
    assert (site.folder / "params.yaml").read_text() == "# the crawls\ncrawls: [old]\n"
    before = (site.folder / "data/records/old").stat().st_mtime_ns
    inbox = site.folder / "inbox"
    inbox.mkdir()
    (inbox / "next.csv").write_text("next rows")
    assert site.wait(site.run("refresh/refresh"))[0] == "COMPLETED"
    assert "next rows" in (site.folder / "data/index").read_text()
    assert (site.folder / "data/records/old").stat().st_mtime_ns == before
    assert (inbox / "done/next.csv").exists()


def test_cancelled_leaves_no_process_and_the_next_run_works(site):
    (site.folder / "hang.csv").write_text("hang")
    run = site.run("refresh/refresh", name="slow", manifest="hang.csv")
    assert wait_for((site.folder / "hanging").exists, RUN_SECONDS)
    site.prefect("flow-run", "cancel", run)
    began = time.monotonic()
    ended = wait_for(lambda: not [found for found in processes_in(site.folder) if "stage.py" in found or "time.sleep(120)" in found], 10)
    assert ended, f"after {time.monotonic() - began:.0f} s: {processes_in(site.folder)}"
    assert site.wait(run)[0] == "CANCELLED"
    # What was cut short is finished by the next run, once the cause is gone.
    (site.folder / "data/crawls/slow").write_text("slow rows")
    assert site.wait(site.run("refresh/refresh"))[0] == "COMPLETED"
    assert "slow rows" in (site.folder / "data/index").read_text()
