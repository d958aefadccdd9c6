"""Run stages: the order out of DVC's graph, and one `dvc repro --single-item` per stage."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.errors import SluiceError
from tasks.core.settings import TELEMETRY_OFF

# The kernel ends DVC with this process, as `tasks.core.stage.main` lets a stage end with DVC: no orphan writes on.
TIED_DVC = """
import sys
from tasks.core.processes import die_with_parent
die_with_parent()
from dvc.cli import main
sys.exit(main(sys.argv[1:]))
"""
GRACE_SECONDS = 2.0
REMEMBERED_LINES = 20
Say = Callable[[str], None]


class StageFailed(SluiceError):
    """A stage, or a command beside it, ended with an error; the message is its own."""


class StageCut(StageFailed):
    """What ended it says nothing of its input: it was killed, crashed, ran out of disk, or was stopped after its time."""


@dataclass(frozen=True)
class Graph:
    """DVC's graph: addresses such as `embed@demo-1`, each after everything that it needs."""

    order: tuple[str, ...]
    needs: dict[str, frozenset[str]]  # address -> all that it needs, however far

    def closure(self, targets: Collection[str]) -> list[str]:
        """The targets and all that they need, in order."""
        wanted = set(targets).union(*(self.needs[target] for target in targets))
        return [address for address in self.order if address in wanted]

    def downstream(self, sources: Collection[str]) -> list[str]:
        """What needs one of the sources, in order; the sources themselves are left out."""
        return [address for address in self.order if address not in sources and self.needs[address] & set(sources)]

    def of_crawl(self, crawl: str) -> list[str]:
        """The stages that exist for this crawl alone, in order."""
        return [address for address in self.order if address.partition("@")[2] == crawl]

    def find(self, names: Sequence[str]) -> list[str]:
        """Addresses of these stages or groups (`embed` stands for every `embed@...`). Raises StageFailed for an unknown name."""
        found = []
        for name in names:
            matching = [address for address in self.order if name in (address, address.partition("@")[0])]
            if not matching:
                raise StageFailed(f"stage '{name}' is not in dvc.yaml (there are: {', '.join(self.order)})")
            found += matching
        return found


def read_graph(folder: Path = Path()) -> Graph:
    """The graph as DVC sees it now; dvc.yaml and params.yaml are read again on every call."""
    import networkx
    from dvc.repo import Repo

    with Repo(str(folder.resolve())) as repo:
        graph = repo.index.graph  # an edge u -> v says that u needs v
        stages = [stage for stage in reversed(list(networkx.topological_sort(graph))) if _name(stage)]
        needs = {_name(stage): frozenset(filter(None, map(_name, networkx.descendants(graph, stage)))) for stage in stages}
    return Graph(order=tuple(needs), needs=needs)


def changed_stages(folder: Path = Path()) -> set[str]:
    """Addresses of the stages that DVC would run now because of what they themselves take and make."""
    from dvc.repo import Repo

    with Repo(str(folder.resolve())) as repo:
        return {address.rpartition(":")[2] for address in repo.status()}  # seen from elsewhere, a path to dvc.yaml stands before


def run_stage(address: str, say: Say, folder: Path = Path(), seconds: float | None = None) -> None:
    """Let DVC make one stage, if anything changed for it. Raises as `run_command` does."""
    run_command([sys.executable, "-c", TIED_DVC, "repro", "--single-item", address], say, folder, seconds)


def run_command(command: Sequence[str], say: Say, folder: Path = Path(), seconds: float | None = None) -> None:
    """Run a command, pass its lines on as they come, and leave none of its processes behind, however this ends.

    Raises StageFailed with the command's own message; StageCut if it was killed, or has not ended after `seconds`.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    lines: list[str] = []
    late = threading.Event()

    def stop() -> None:
        late.set()
        end_group(process)

    timer = threading.Timer(seconds or 0, stop)
    if seconds is not None:
        timer.start()
    try:
        for line in process.stdout or ():
            if line.strip():
                say(line.rstrip())
                lines = [*lines[1 - REMEMBERED_LINES :], line.strip()]
        code = process.wait()
    finally:
        timer.cancel()
        end_group(process)
        if process.stdout:
            process.stdout.close()
    if late.is_set() and seconds is not None:
        raise StageCut(f"had not ended after {seconds / 60:.4g} minutes and was stopped: start again to resume it, or allow it more time")
    if code:
        raise failure(lines, code)


def failure(lines: Sequence[str], code: int) -> StageFailed:
    """A StageFailed with the stage's `error: ...` line without the prefix; a StageCut if there is none, or it may go well later."""
    own = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    message = own[-1] if own else f"ended with {code}: {' | '.join(lines[-3:]) or 'no output'}"
    later = code == os.EX_TEMPFAIL or any(line.endswith(f"exited with {os.EX_TEMPFAIL}") for line in lines)  # DVC ends with its own code
    return StageFailed(message) if own and not later else StageCut(message)


def end_group(process: subprocess.Popen[str]) -> None:
    """End the process and all that it started: asked first, killed after GRACE_SECONDS."""
    for how, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, how)
            process.wait(seconds)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def environment() -> dict[str, str]:
    """This environment, with this Python first on the path (dvc.yaml says `python`), lines as they come, and no telemetry."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, **TELEMETRY_OFF, "PATH": path, "PYTHONUNBUFFERED": "1"}


def _name(stage: Any) -> str:
    """The stage's name in dvc.yaml; empty for data that `dvc add` tracks, which nothing makes."""
    return getattr(stage, "name", None) or ""
