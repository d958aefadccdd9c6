"""A workspace with its own local Prefect server, worker and deployments."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from flows import server
from tasks.core.versions import list_versions
from tasks.core.worktrees import REFRESH
from tests.flows.processes import processes_in, wait_for

RUN_SECONDS = 900.0


class Site:
    """The folder is a workspace already; `open` starts server and worker and deploys prefect.yaml."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".prefect"
        self.url = ""
        self.worker: subprocess.Popen[bytes] | None = None
        self.watch: subprocess.Popen[bytes] | None = None
        self.sent: list[int] = []

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
        self.worker = self.start("worker", "-m", "prefect", "worker", "start", "--pool", "sluice")

    def start_watch(self) -> None:
        self.watch = self.start("watch", "-m", "flows.watch")

    def start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *words], cwd=self.folder, env=self.variables, stdout=log, stderr=log, start_new_session=True
            )

    def log(self) -> str:
        """The end of what worker and watch have said."""
        return "\n".join(path.read_text(errors="replace")[-4000:] for path in sorted(self.folder.glob("*.log")))

    def dvc(self, *words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "dvc", *words], cwd=self.folder, env=self.variables, check=True, capture_output=True, text=True
        ).stdout

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

    def artifacts(self, run: str) -> list[Any]:
        """What a run shows in the UI."""
        return list(self.ask("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}}))

    def running(self) -> list[int]:
        """Processes of flow runs: those below the worker that Prefect has started, wherever they work now."""
        pids = []
        for folder in (self.folder, self.folder / REFRESH):
            pids += [int(found.split()[0]) for found in processes_in(folder) if "prefect.engine" in found or "flow-run execute" in found]
        return pids

    def kill(self, who: str) -> None:
        """SIGKILL, without a word before."""
        server_pid = json.loads((self.home / "server.json").read_text())["pid"]
        stages = [int(found.split()[0]) for found in processes_in(self.folder / REFRESH) if "stage.py" in found]
        worker = [self.worker.pid] if self.worker else []
        for pid in {"stage": stages, "flow": self.running(), "worker": worker, "server": [server_pid]}[who]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.sent.append(signal.SIGKILL)

    def revive(self) -> None:
        """What a service manager does: start again what has ended."""
        self.url = server.start(self.home)
        if self.worker and self.worker.poll() is not None:
            self.start_worker()
        if self.watch and self.watch.poll() is not None:
            self.start_watch()

    def wait_until_running(self) -> None:
        """Start a refresh if none runs, and wait for its process."""
        if not self.running():
            self.run("refresh/refresh")
            wait_for(lambda: bool(self.running()), 60)

    def finished(self, crawls: list[str]) -> bool:
        """Whether the crawls are published; a run is started where none runs and they aren't."""
        if list_versions(self.folder)[-1].crawls == crawls and not (self.folder / "inbox/z.csv").exists():
            return True
        self.revive()
        self.wait_until_running()
        time.sleep(2)
        return False

    def stop(self) -> None:
        for process in (self.watch, self.worker):
            if process and process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        server.stop(self.home)
