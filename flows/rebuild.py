"""Rebuild: the dataset as dvc.yaml says, every stage a Prefect task."""

import sys

from flows.lock import workspace_lock
from flows.orchestrator import flow, get_run_logger, run_here, run_stages, stages_at_once
from flows.stages import changed_stages, read_graph


@flow(name="rebuild", validate_parameters=True, task_runner=stages_at_once())
def rebuild(stages: list[str] | None = None, wait_minutes: float = 0.0, timeout_minutes: float | None = None) -> None:
    """Make what changed, as `dvc repro` does. `stages` limits it to these (addresses or groups) and what they need.

    A stage may take `timeout_minutes`. SLUICE_STAGES stages run side by side where none needs the other.
    """
    with workspace_lock("rebuild", wait_s=60 * wait_minutes):
        graph = read_graph()
        order = graph.closure(graph.find(stages)) if stages else list(graph.order)
        changed = changed_stages()  # asked once for all: DVC takes a second per stage to say that there is nothing to do
        stale = [address for address in order if address in changed or graph.needs[address] & changed]
        get_run_logger().info("%d of %d stages have something to do: %s", len(stale), len(order), ", ".join(stale) or "none")
        run_stages(stale, timeout_minutes, graph.needs)


if __name__ == "__main__":
    run_here(rebuild, stages=sys.argv[1:] or None)
