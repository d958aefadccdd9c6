"""Bind DVC's stages to Prefect: every stage is a task named after its address, and its lines are the task's log."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

from flows.server import environment, start
from flows.stages import run_stage
from tasks.core.errors import SluiceError
from tasks.core.settings import turn_telemetry_off

# Before the import of Prefect, which reads these variables, and would report home, when it is imported.
turn_telemetry_off()
os.environ.setdefault("PREFECT_HOME", environment()["PREFECT_HOME"])

from prefect import flow, get_run_logger, task  # noqa: E402
from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: E402

__all__ = ["flow", "get_run_logger", "run_here", "run_stages"]


def run_stages(addresses: Sequence[str]) -> None:
    """Run the stages one after the other, each as a task. Raises the first one's StageFailed."""
    for address in addresses:
        make_stage.with_options(name=address, task_run_name=address)(address)


@task
def make_stage(address: str) -> None:
    """Let DVC make one stage; unchanged ones are skipped by DVC itself."""
    run_stage(address, get_run_logger().info)


def run_here(runner: Callable[..., Any], **parameters: object) -> None:
    """Run a flow in this process, seen by the local server; ends with one line where the flow failed for a known reason."""
    url = os.environ.get("PREFECT_API_URL") or start()
    try:
        with temporary_settings(updates={cast(Any, PREFECT_API_URL): url}):
            runner(**parameters)
    except SluiceError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None
