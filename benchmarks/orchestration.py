"""Measure what the frame costs: nothing to do with 12 crawls, one more crawl, nothing to do with a sealed year.

    python -m benchmarks.orchestration [--crawls 12] [--rows 150] [--latency-ms 200] [--year 365]

Nightly crawls of the demo's kind are served from this process, which counts every request and answers after a while, as the web does;
`ingest` has its own manners, four requests at once to a host. `increment_share` is the wall time of crawl
13 (`crawl add` and `dvc repro`, stages over all crawls included) over that of making all 13 from nothing in a second workspace, whose
tables should be the same byte for byte. `refetched_rows` counts requests for pages of older crawls meanwhile. The year's crawls hold files
of a few bytes each, for what DVC does with them depends on their number. Python keeps compiled modules, as it does unless it is told not
to: without, each call of DVC compiles a thousand of them anew. Progress goes to standard error; one JSON line comes last on standard
output.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from benchmarks.curation import call, copy_project, merge
from tasks.core.graph import StageEntry, read_graph
from tasks.core.lineage import read_runs
from tasks.methods.demo_web import make_crawl
from tasks.methods.serve import EmbeddedWeb

OVERLAY = Path(__file__).with_suffix(".yaml")
HOST, CLEAN_SEED = "demo.test", 7
REPEATS = 3  # of a measurement of nothing to do; the middle one counts
OPEN = 5  # crawls of the year that stay open
TABLES = (".parquet", ".tar")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crawls", type=int, default=12, help="nightly crawls before the one that is added (default: 12)")
    parser.add_argument("--rows", type=int, default=150, help="rows per crawl, 100 or more (default: 150)")
    parser.add_argument("--latency-ms", type=float, default=200.0, help="milliseconds before every answer (default: 200)")
    parser.add_argument("--year", type=int, default=365, help="crawls of the sealed year; 0 leaves it out (default: 365)")
    parser.add_argument("--skip-flow", action="store_true", help="leave Prefect out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-orchestration-") as temporary:
        top = Path(temporary)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(top / "compiled")
        figures = nights(top, options.crawls, options.rows, options.latency_ms / 1000, flow=not options.skip_flow)
        if options.year:
            figures |= year(top / "year", options.year)
    print(json.dumps(figures))


class SlowWeb(EmbeddedWeb):
    """A web whose answers take a while."""

    def __init__(self, packed: Path, latency_s: float) -> None:
        self.latency_s = latency_s
        super().__init__(packed)

    def _count(self, path: str) -> None:
        super()._count(path)
        time.sleep(self.latency_s)


def nights(top: Path, n_crawls: int, n_rows: int, latency_s: float, *, flow: bool) -> dict[str, Any]:
    """Build some crawls, do nothing, add one more, seal the old ones."""
    names = [f"night-{number:02d}" for number in range(1, n_crawls + 2)]
    manifests = make_web(top, names, n_rows)
    workspace = fresh_workspace(top / "workspace")
    with SlowWeb(top / "web.parquet", latency_s) as web:
        address = "{}:{}".format(*web.address)
        built_s = clocked(lambda: build(workspace, names[:-1], manifests, address))
        noop_repro_s = nothing_to_do(workspace)
        noop_flow_s = no_flow(workspace) if flow else None
        before, began = dict(web.requests), set_of_runs(workspace)
        increment_s = clocked(lambda: build(workspace, names[-1:], manifests, address))
        refetched = sum(web.requests[path] - before.get(path, 0) for path in web.requests if is_page(path, names[:-1]))
        rebuild_s = clocked(lambda: build(fresh_workspace(top / "rebuilt"), names, manifests, address))
        again = [run for run in read_runs(workspace / ".sluice/runs") if run["run_id"] not in began and run["item"] in names[:-1]]
    bytes_before = table_bytes(workspace)
    sealing_s = clocked(lambda: call(workspace, "tasks.cli", "crawl", "seal", "--keep", "1"))
    sealed_noop_s = nothing_to_do(workspace)
    call(workspace, "dvc", "repro", "--force", "--single-item", "index", "deduplicate", "match")
    return {
        "crawls": n_crawls,
        "rows_per_crawl": n_rows,
        "latency_s": latency_s,
        "noop_repro_s": noop_repro_s,
        "noop_flow_s": noop_flow_s,
        "build_s": round(built_s, 1),
        "increment_s": round(increment_s, 1),
        "rebuild_s": round(rebuild_s, 1),
        "increment_share": round(increment_s / rebuild_s, 4),
        "bytes_equal_to_rebuild": bytes_before == table_bytes(top / "rebuilt"),
        "refetched_rows": refetched,
        "old_stages_run_again": len(again),
        "sealing_s": round(sealing_s, 1),
        "noop_after_sealing_s": sealed_noop_s,
        "bytes_equal_after_sealing": table_bytes(workspace) == bytes_before,
    }


def fresh_workspace(folder: Path) -> Path:
    """The project with the benchmark's params and no crawl."""
    copy_project(folder)
    set_params(folder, YAML().load(OVERLAY))
    return folder


def make_web(top: Path, names: Sequence[str], n_rows: int) -> dict[str, Path]:
    """A manifest for each crawl, and one packed web that shows the pages of all."""
    manifests, pages = {}, []
    for seed, name in enumerate(names, start=1):
        made = make_crawl(name=name, seed=seed, n_rows=n_rows, n_leaks=0, clean_seed=CLEAN_SEED)
        manifests[name] = top / f"{name}.parquet"
        pq.write_table(made.manifest, manifests[name])
        pages.append(made.web)
    pq.write_table(pa.concat_tables(pages), top / "web.parquet", compression="none", row_group_size=1000)
    return manifests


def build(workspace: Path, names: Sequence[str], manifests: Mapping[str, Path], address: str) -> None:
    """Add crawls, and make all that follows."""
    for name in names:
        call(workspace, "tasks.cli", "crawl", "add", name, str(manifests[name]), "--connect", f"{HOST}={address}")
    call(workspace, "dvc", "repro")


def is_page(path: str, names: Sequence[str]) -> bool:
    """Whether a request was for a page of one of the crawls; robots.txt and the like belong to none."""
    return any(f"/{name}/" in path for name in names)


def set_of_runs(workspace: Path) -> set[str]:
    """Ids of the runs that were recorded so far."""
    return {run["run_id"] for run in read_runs(workspace / ".sluice/runs")}


def table_bytes(workspace: Path) -> dict[str, bytes]:
    """Every table and tar of the workspace but for the catalog's, which has clocks in it."""
    files = (path for path in sorted((workspace / "data").rglob("*")) if path.suffix in TABLES and "catalog" not in path.parts)
    return {str(path.relative_to(workspace)): path.read_bytes() for path in files}


def clocked(work: Callable[[], None]) -> float:
    """Seconds that something takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def nothing_to_do(workspace: Path) -> float:
    """Seconds of a `dvc repro` that finds nothing to do. Ends the benchmark if it finds something."""
    before = set_of_runs(workspace)
    seconds = statistics.median(clocked(lambda: call(workspace, "dvc", "repro", "--quiet")) for _ in range(REPEATS))
    if set_of_runs(workspace) != before:
        sys.exit("`dvc repro` ran stages although nothing had changed")
    return round(seconds, 2)


def no_flow(workspace: Path) -> float:
    """Seconds of a rebuild through Prefect, in a process of its own, that finds nothing to do; its server runs already."""
    shown = {name: os.environ.pop(name, None) for name in ("PREFECT_API_URL", "PREFECT_HOME")}
    try:
        call(workspace, "flows.server", "start")
        before = set_of_runs(workspace)
        seconds = statistics.median(clocked(lambda: call(workspace, "flows.rebuild")) for _ in range(REPEATS))
        if set_of_runs(workspace) != before:
            sys.exit("the flow ran stages although nothing had changed")
        return round(seconds, 2)
    finally:
        call(workspace, "flows.server", "stop")
        os.environ.update({name: value for name, value in shown.items() if value is not None})


def year(workspace: Path, n_crawls: int) -> dict[str, Any]:
    """A workspace of so many crawls, whose files hold a few bytes each, before and after all but the latest few were sealed."""
    copy_project(workspace)
    names = [f"night-{number:04d}" for number in range(n_crawls)]
    set_params(workspace, {"crawls": names, "demos": [], "prepare_encoder": {"crawl": names[0]}})
    fill(workspace, names)
    for name in names:
        (workspace / f"data/crawls/{name}.dvc").write_text(f"outs:\n- path: {name}\n")
    call(workspace, "dvc", "commit", "--force", "--quiet")
    open_s = clocked(lambda: call(workspace, "dvc", "repro", "--quiet"))
    sealing_s = clocked(lambda: call(workspace, "tasks.cli", "crawl", "seal", "--keep", str(OPEN)))
    return {
        "year_crawls": n_crawls,
        "noop_open_year_repro_s": round(open_s, 2),
        "year_sealing_s": round(sealing_s, 1),
        "noop_sealed_repro_s": nothing_to_do(workspace),
    }


def fill(workspace: Path, names: Sequence[str]) -> None:
    """Write a small file wherever a stage would have made something."""
    params = YAML().load(workspace / "params.yaml")
    for stage in read_graph(workspace / "dvc.yaml").values():
        for values in items(stage, names, params) if stage.name != "generate" else ():
            for entry in (*stage.outs, *stage.metrics, *(found for found in stage.data if found.name == "crawls")):
                path = workspace / entry.path({**params, **values})
                file = path if path.suffix else path / "00000.parquet"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps({"made": str(path.relative_to(workspace))}))


def items(stage: StageEntry, names: Sequence[str], params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What dvc.yaml fills into a stage's paths, once per stage that it makes of the entry."""
    if stage.placeholders() == ["item"]:
        return [{"item": name} for name in names]
    if stage.placeholders():
        return [{"item": {"arm": arm, "seed": seed}} for arm in params["arms"] for seed in params["seeds"]]
    return [{}]


def set_params(workspace: Path, changes: dict[str, Any]) -> None:
    """Change params.yaml, key by key."""
    yaml = YAML()
    params = yaml.load(workspace / "params.yaml")
    merge(params, changes)
    yaml.dump(params, workspace / "params.yaml")


if __name__ == "__main__":
    main()
