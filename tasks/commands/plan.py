"""Plan: check params, wiring, concepts, crawls, device and disk before any work, and estimate what the work costs."""

import argparse
import importlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.commands.crawl import check_concepts, concepts_folder, folder_of
from tasks.commands.output import write_line, write_table
from tasks.core.concepts import load_concepts
from tasks.core.crawls import CrawlSettings, read_manifest, read_settings
from tasks.core.errors import CrawlError, SluiceError, WiringError
from tasks.core.graph import PLACEHOLDER, StageEntry, fill, read_graph
from tasks.core.lineage import last_runs, read_runs
from tasks.core.params import Params, SharedParams, crawl_names, read_params, section
from tasks.core.settings import read_settings as read_environment
from tasks.core.stage import annotations, check_wiring

# What one row costs, roughly, on two cores: (seconds per 1,000 rows, kilobytes per row). Recorded runs replace the seconds.
TYPICAL = {
    "generate": (4.0, 20.0),
    "ingest": (10.0, 40.0),
    "validate": (0.3, 0.1),
    "prepare_encoder": (20.0, 0.0),
    "embed": (15.0, 2.5),
    "index": (0.5, 3.0),
    "deduplicate": (1.0, 0.5),
    "match": (1.0, 0.5),
    "score": (5.0, 0.5),
    "curate": (0.5, 0.7),
    "pretrain": (15.0, 0.0),
    "evaluate": (5.0, 0.1),
    "catalog": (0.1, 0.0),
}
START = 10.0  # seconds until a stage's process has imported what it needs
COPIES = 2.0  # a file lies in the workspace and in DVC's cache, unless the file system shares them
GB = 1e9


@dataclass(frozen=True)
class Cost:
    """What one stage costs over all its items; `basis` says where the seconds come from."""

    stage: str
    n_runs: int
    n_rows: int
    hours: float
    gigabytes: float
    basis: str


def run(_: argparse.Namespace) -> None:
    """Check, estimate, and write the plan. Raises SluiceError for the first thing that would stop a run."""
    graph, values, settings = read_graph(), read_params(), read_environment()
    check_stages(graph, values)
    section(CrawlSettings, "ingest", values)
    n_concepts = len(load_concepts(concepts_folder(values)))
    rows = {name: count_rows(name, values) for name in crawl_names(values)}
    device = settings.torch_device()
    costs = estimate(graph, values, rows, read_runs())
    free = shutil.disk_usage(Path.cwd()).free / GB
    needed = COPIES * sum(cost.gigabytes for cost in costs)
    if needed > free:
        want = f"the data needs about {needed:.1f} GB (DVC's cache included), {free:.1f} GB are free"
        raise SluiceError(f"not enough disk at {Path.cwd()}: {want}")
    show(costs)
    unknown = [name for name, n_rows in rows.items() if n_rows is None]
    if unknown:
        write_line(f"not counted: {', '.join(unknown)} (made by `dvc repro`, rows unknown until then)")
    write_line(f"{len(rows)} crawls, {n_concepts} concepts, {settings.workers} workers ({settings.pool}), device {device}")
    write_line(f"about {needed:.1f} GB are needed, {free:.1f} GB are free; everything checked is in order")


def check_stages(graph: Mapping[str, StageEntry], values: Mapping[str, Any]) -> None:
    """Every stage: its module, its wiring, its sections of params.yaml, and the values that stand in its paths."""
    for entry in graph.values():
        stage = stage_function(entry.name)
        check_wiring(stage, entry)
        for kind in annotations(stage).values():
            if issubclass(kind, Params):
                section(kind, "shared" if kind is SharedParams else entry.name, values)
        for found in (*entry.deps, *entry.outs):
            for key in PLACEHOLDER.findall(found.template):
                if key.split(".")[0] != "item":
                    fill(f"${{{key}}}", values)


def stage_function(name: str) -> Any:
    """The function of a stage. Raises WiringError if there is no such module or function."""
    module_name = f"tasks.{name}"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise WiringError(f"stage '{name}' stands in dvc.yaml, but there is no tasks/{name}.py") from None
    if not hasattr(module, name):
        raise WiringError(f"tasks/{name}.py has no function '{name}' for the stage of dvc.yaml")
    return getattr(module, name)


def count_rows(name: str, values: Mapping[str, Any]) -> int | None:
    """Rows of a crawl's manifest, which is checked with its settings and concepts; of a demo not made yet, what params.yaml says."""
    folder = folder_of(name, values)
    if not folder.exists():
        if name in (values.get("demos") or []):
            demos = (values.get("generate") or {}).get("crawls") or {}
            return (demos.get(name) or {}).get("rows")
        raise CrawlError(f"crawl '{name}' stands in params.yaml, but {folder} is not there: add it with `sluice crawl add`, or `dvc pull`")
    read_settings(folder)
    table = read_manifest(folder)
    check_concepts(table, values)
    return int(table.num_rows)


def estimate(
    graph: Mapping[str, StageEntry], values: Mapping[str, Any], rows: Mapping[str, int | None], runs: list[dict[str, Any]]
) -> list[Cost]:
    """The cost of every stage, as if nothing were done yet. `rows`: per crawl."""
    total = sum(n_rows or 0 for n_rows in rows.values())
    recorded = last_runs(runs)
    costs = []
    for entry in graph.values():
        n_runs, n_rows = size_of(entry, values, rows, total)
        seconds_per_thousand, kilobytes = TYPICAL.get(entry.name, (1.0, 0.0))
        seconds, basis = START * n_runs + seconds_per_thousand * n_rows / 1000, "typical"
        measured = [run for (stage, _), run in recorded.items() if stage == entry.name]
        counted = sum(rows.get(run["item"], total) or 0 for run in measured)
        if counted:
            seconds, basis = sum(run["seconds"] for run in measured) * n_rows / counted, "recorded"
        costs.append(Cost(entry.name, n_runs, n_rows, seconds / 3600, kilobytes * n_rows / 1e6, basis))
    return costs


def size_of(entry: StageEntry, values: Mapping[str, Any], rows: Mapping[str, int | None], total: int) -> tuple[int, int]:
    """How often the stage runs, and on how many rows altogether."""
    if entry.name == "generate":
        demos = [name for name in values.get("demos") or [] if name in rows]
        return len(demos), sum(rows[name] or 0 for name in demos)
    if entry.placeholders() == ["item"]:
        return len(rows), total
    if entry.placeholders():
        n_runs = len(values.get("arms") or []) * len(values.get("seeds") or [])
        return n_runs, n_runs * total
    return 1, total


def show(costs: Sequence[Cost]) -> None:
    """The plan as a table, with the sum as its last line."""
    lines = [(cost.stage, cost.n_runs, f"{cost.n_rows:,}", f"{cost.hours:.2f}", f"{cost.gigabytes:.2f}", cost.basis) for cost in costs]
    hours, gigabytes = sum(cost.hours for cost in costs), sum(cost.gigabytes for cost in costs)
    lines.append(("all", sum(cost.n_runs for cost in costs), "", f"{hours:.2f}", f"{gigabytes:.2f}", ""))
    write_table(("stage", "runs", "rows", "hours", "GB", "seconds from"), lines)
