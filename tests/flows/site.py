"""A workspace with its own local Prefect server, worker and deployments."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from flows import server
from tests.flows.processes import wait_for

RUN_SECONDS = 900.0


class Site:
    """The folder is a workspace already; `open` starts server and worker and deploys prefect.yaml."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".prefect"
        self.url = ""
        self.worker: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        self.url = server.start(self.home)
        self.prefect("work-pool", "create", "sluice", "--type", "process")
        self.prefect("deploy", "--all")
        self.start_worker()

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
