"""Bind DVC's stages to Prefect: every stage is a task named after its address, and its lines are the task's log."""

import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from flows.server import environment, start
from flows.stages import run_stage
from tasks.core.errors import ParamsError, SluiceError
from tasks.core.settings import turn_telemetry_off

if TYPE_CHECKING:
    from prefect.futures import PrefectFuture
    from prefect.tasks import Task

# Before the import of Prefect, which reads these variables, and would report home, when it is imported.
turn_telemetry_off()
os.environ.setdefault("PREFECT_HOME", environment()["PREFECT_HOME"])

from prefect import flow, get_run_logger, task  # noqa: E402
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: E402
from prefect.task_runners import ThreadPoolTaskRunner  # noqa: E402

__all__ = ["flow", "get_run_logger", "run_here", "run_stages", "stages_at_once"]
RETRIED = {"ingest": 2}  # how often, beside the first time: the web alone may answer better later; it goes on where it stopped
RETRY_SECONDS = 60
VARIABLE = "SLUICE_STAGES"


def stages_at_once() -> Any:
    """Runs as many stages side by side as SLUICE_STAGES says, as far as none needs the other: one, if it says nothing, with all cores."""
    told = os.environ.get(VARIABLE, "1")
    if not told.isdecimal() or int(told) < 1:
        raise ParamsError(f"{VARIABLE}={told!r} must be a whole number of stages, 1 or more")
    return ThreadPoolTaskRunner(max_workers=int(told))


def run_stages(addresses: Sequence[str], timeout_minutes: float | None = None, needs: Mapping[str, Collection[str]] | None = None) -> None:
    """Run the stages, each as a task after those that it `needs` (untold: all before it). Raises the first one's StageFailed."""
    board = Board(addresses)
    if needs is None:
        for address in addresses:
            task_of(address)(address, board, timeout_minutes)
    else:
        running: dict[str, PrefectFuture[None]] = {}
        for address in addresses:
            earlier = [running[need] for need in needs[address] if need in running]
            running[address] = task_of(address).submit(address, board, timeout_minutes, wait_for=earlier)
        for future in running.values():
            future.wait()
        for future in running.values():
            future.result()
    board.close()


def task_of(address: str) -> "Task[..., None]":
    """The task that makes one stage."""
    retries = RETRIED.get(address.partition("@")[0], 0)
    return make_stage.with_options(name=address, task_run_name=address, retries=retries, retry_delay_seconds=RETRY_SECONDS)


@task(cache_policy=NO_CACHE, persist_result=False)
def make_stage(address: str, board: "Board", timeout_minutes: float | None) -> None:
    """Let DVC make one stage; unchanged ones are skipped by DVC itself."""
    seconds = 60 * timeout_minutes if timeout_minutes is not None else None
    with board.making(address):
        run_stage(address, get_run_logger().info, seconds=seconds)


class Board:
    """Shows how far a run of stages is: a progress bar while it runs, a table of stages at its end, both artifacts of the flow run."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.total, self.now, self.rows, self.lock = len(addresses), list[str](), list[dict[str, object]](), Lock()
        self.bar: Any = create_progress_artifact(0.0, description=f"0 of {self.total} stages made")

    @contextmanager
    def making(self, address: str) -> Iterator[None]:
        """Show that a stage is being made, and how it ended."""
        began, ended = time.monotonic(), "failed"
        self.show(started=address)
        try:
            yield
            ended = "made"
        finally:
            row = {"stage": address, "ended": ended, "seconds": round(time.monotonic() - began, 1)}
            self.show(ended=address, row=row)

    def show(self, started: str = "", ended: str = "", row: dict[str, object] | None = None) -> None:
        """Bring the bar up to date."""
        with self.lock:
            self.rows += [row] if row else []
            self.now = [address for address in [*self.now, started] if address not in ("", ended)]
            n_made = sum(found["ended"] == "made" for found in self.rows)
            text = f"{n_made} of {self.total} stages made" + (f"; now: {', '.join(self.now)}" if self.now else "")
            update_progress_artifact(self.bar, 100.0 * n_made / max(self.total, 1), description=text)

    def close(self) -> None:
        """Leave the table of what ran."""
        if self.rows:
            create_table_artifact(self.rows, description="What ran, in order of its end")


def run_here(runner: Callable[..., Any], **parameters: object) -> None:
    """Run a flow in this process, seen by the local server; ends with one line where the flow failed for a known reason."""
    url = os.environ.get("PREFECT_API_URL") or start()
    try:
        with temporary_settings(updates={cast(Any, PREFECT_API_URL): url}):
            runner(**parameters)
    except SluiceError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None
