"""Serve Prefect locally: start its server, or find the one that runs, at a port and home of this checkout's own.

`python -m flows.server start` prints its address, `stop` ends it; `eval "$(python -m flows.server env)"` points Prefect's commands to it.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from tasks.core.errors import SluiceError
from tasks.core.files import write_atomically
from tasks.core.settings import TELEMETRY_OFF

HOME = Path(__file__).resolve().parents[1] / ".prefect"
START_SECONDS = 180.0  # a machine at its work starts it slowly
FIND_SECONDS = 10.0  # a server under load may answer late
PORT_SECONDS = 5.0  # a killed server may hold its port while it ends
STOP_SECONDS = 10.0


class ServerError(SluiceError):
    """The local Prefect server can't be started."""


def start(home: Path = HOME) -> str:
    """The address of a healthy server, such as http://127.0.0.1:4200/api. Raises ServerError if it does not get healthy."""
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "server.lock"):  # two that start at once share one server
        found = _remembered(home)
        if found and _is_ours(found["pid"]) and _wait(lambda: _healthy(found["url"]), FIND_SECONDS):
            return str(found["url"])
        stop(home)
        return _start(home, found)


def stop(home: Path = HOME) -> bool:
    """End the server that was started here, if it still runs; says whether there was one. Its port is remembered."""
    found = _remembered(home)
    if not found or not _is_ours(found["pid"]):
        return False
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(found["pid"], how)
        except ProcessLookupError:
            break
        if _wait(lambda: not _is_ours(found["pid"]), STOP_SECONDS):
            break
    return True


def environment(home: Path = HOME, url: str | None = None) -> dict[str, str]:
    """The variables that Prefect's commands need: its home, its address, no telemetry, a worker that looks every 2 s."""
    variables = {**TELEMETRY_OFF, "PREFECT_HOME": str(home), "PREFECT_WORKER_QUERY_SECONDS": "2"}
    return {**variables, "PREFECT_API_URL": url} if url else variables


def main(words: list[str], home: Path = HOME) -> None:
    """The command line."""
    if words == ["start"]:
        sys.stdout.write(start(home) + "\n")
    elif words == ["env"]:
        sys.stdout.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in environment(home, start(home)).items())
    elif words == ["stop"]:
        sys.stdout.write("stopped\n" if stop(home) else "no server of this checkout runs\n")
    else:
        raise ServerError("use: python -m flows.server start | env | stop")


def _start(home: Path, found: dict[str, Any] | None) -> str:
    port = _port(found)
    url = f"http://127.0.0.1:{port}/api"
    log = home / "server.log"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment(home, url)},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    with write_atomically(home / "server.json") as path:
        path.write_text(json.dumps({"pid": process.pid, "port": port, "url": url}))
    healthy = _wait(lambda: _healthy(url) or process.poll() is not None, START_SECONDS) and process.poll() is None
    process.returncode = 0  # it outlives this process on purpose: nobody waits for it
    if not healthy:
        stop(home)
        raise ServerError(f"the Prefect server at {url} did not get healthy in {START_SECONDS:.0f} s: see {log}")
    return url


def _remembered(home: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((home / "server.json").read_text())
        return {"pid": int(found["pid"]), "port": int(found["port"]), "url": str(found["url"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _port(found: dict[str, Any] | None) -> int:
    """The remembered port if it is free, so that a worker finds a restarted server; another free one otherwise."""
    if found and _wait(lambda: _free_port(found["port"]) is not None, PORT_SECONDS):
        return int(found["port"])
    port = _free_port(0)
    if port is None:
        raise ServerError("no free port on 127.0.0.1")
    return port


def _free_port(wanted: int) -> int | None:
    """The port if nobody holds it, any free one for 0; None otherwise."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return None
        return int(probe.getsockname()[1])


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _is_ours(pid: int) -> bool:
    """Whether the process still runs and is a Prefect server: its number may have gone to another since."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # if it is our own child: an ended one counts as gone
    try:
        said = Path(f"/proc/{pid}/cmdline").read_text() if sys.platform == "linux" else _ps(pid)
    except OSError:
        return False
    return "prefect" in said and "server" in said


def _ps(pid: int) -> str:
    return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout


def _wait(done: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.2)
    return False


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ServerError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None
