"""Rebuild: the dataset as dvc.yaml says, every stage a Prefect task."""

import sys

from flows.lock import workspace_lock
from flows.orchestrator import flow, get_run_logger, run_here, run_stages
from flows.stages import read_graph


@flow(name="rebuild", validate_parameters=True)
def rebuild(stages: list[str] | None = None, wait_minutes: float = 0.0) -> None:
    """Make what changed, as `dvc repro` does. `stages` limits it to these (addresses or groups) and what they need."""
    with workspace_lock("rebuild", wait_s=60 * wait_minutes):
        graph = read_graph()
        order = graph.closure(graph.find(stages)) if stages else list(graph.order)
        get_run_logger().info("%d stages: %s", len(order), ", ".join(order))
        run_stages(order)


if __name__ == "__main__":
    run_here(rebuild, stages=sys.argv[1:] or None)
