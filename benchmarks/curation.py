"""Curate a packed crawl from the network to the decision, and score the result against its truth.

    python -m benchmarks.curation DIR [--params FILE] [--clean DIR] [--seed N] [--keep DIR]

DIR holds images.parquet (path, bytes), manifest.parquet, truth.parquet and concepts.yaml. The crawl is served over loopback
HTTP and goes through the graph from `ingest` to `curate` in a scratch copy of the project with two workers. The truth is read
by the scorer alone. Progress goes to standard error; one JSON line comes last on standard output.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
from ruamel.yaml import YAML

from tasks.core.lineage import read_runs
from tasks.methods.serve import EmbeddedWeb

REPO = Path(__file__).resolve().parents[1]
OVERLAY = Path(__file__).with_suffix(".yaml")
WORKERS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("--params", type=Path, default=OVERLAY, help="params that replace the project's, section by section, key by key")
    parser.add_argument("--clean", type=Path, help="folder of clean test sets whose copies are looked for in the crawl")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice in the graph")
    parser.add_argument("--keep", type=Path, help="make the scratch copy here and leave it, for benchmarks.training")
    parser.add_argument("--scorer", type=Path, default=REPO.parent / "shared" / "tools" / "score.py")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-curation-") as temporary:
        workspace = (options.keep or Path(temporary) / "workspace").resolve()
        print(json.dumps(curate(options.dir.resolve(), workspace, options.params, options.clean, options.scorer.resolve(), options.seed)))


def curate(crawl: Path, workspace: Path, overlay: Path, clean: Path | None, scorer: Path, seed: int = 0) -> dict[str, Any]:
    """Run the graph on a packed crawl in `workspace` and return the scorer's figures with each stage's costs."""
    copy_project(workspace)
    name = re.sub(r"[^a-z0-9_-]", "-", crawl.name.lower())
    bring(crawl, name, workspace, overlay, clean, seed)
    host = urlsplit(pq.read_table(crawl / "manifest.parquet", columns=["url"])["url"][0].as_py()).hostname
    began = time.monotonic()
    with EmbeddedWeb(crawl / "images.parquet") as web:
        address = "{}:{}".format(*web.address)
        call(workspace, "tasks.cli", "crawl", "add", name, str(crawl / "manifest.parquet"), "--connect", f"{host}={address}")
        call(workspace, "dvc", "repro", "curate")
    seconds = time.monotonic() - began
    scored = subprocess.run(
        [sys.executable, scorer, crawl / "truth.parquet", workspace / "data/curated/samples"], check=True, capture_output=True, text=True
    )
    runs = [run for run in read_runs(workspace / ".sluice/runs") if run["status"] == "completed"]
    stages = {run["stage"]: {"seconds": run["seconds"], "peak_memory_mb": run["peak_memory_mb"]} for run in runs}
    return {"crawl": crawl.name, "seed": seed, "seconds": round(seconds, 1), **json.loads(scored.stdout), "stages": stages}


def copy_project(workspace: Path) -> None:
    """Copy what git knows or would add into a fresh repository, so that work in progress is measured too."""
    if workspace.exists():
        sys.exit(f"{workspace} is there already: name a folder that is not")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=REPO, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = REPO / name, workspace / name
        if source.is_file() and name != "dvc.lock":
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    subprocess.run(["git", "init", "-q"], cwd=workspace, check=True)


def bring(crawl: Path, name: str, workspace: Path, overlay: Path, clean: Path | None, seed: int) -> None:
    """Replace the demo by the packed crawl: its concepts, its params."""
    for file in (workspace / "data/concepts").glob("*.yaml"):
        file.unlink()
    shutil.copy(crawl / "concepts.yaml", workspace / "data/concepts" / f"{name}.yaml")
    yaml = YAML()
    params = yaml.load(workspace / "params.yaml")
    merge(params, yaml.load(overlay))
    params["crawls"], params["demos"], params["shared"]["seed"] = [], [], seed
    params["prepare_encoder"]["crawl"] = name
    empty = workspace / "data/clean"
    empty.mkdir(parents=True, exist_ok=True)
    params["clean"] = str(clean.resolve()) if clean else "data/clean"
    if not clean:
        (empty / "README").write_text("No clean test sets for this benchmark.\n")
        (workspace / "dvc.yaml").write_text(without_stage((workspace / "dvc.yaml").read_text(), "hold_out"))
    yaml.dump(params, workspace / "params.yaml")


def merge(target: dict[str, Any], changes: dict[str, Any]) -> None:
    """Set each leaf of `changes` in `target`."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            merge(target[key], value)
        else:
            target[key] = value


def without_stage(text: str, stage: str) -> str:
    """dvc.yaml without one stage: here the folder of clean sets is nobody's output."""
    return re.sub(rf"^  {stage}:\n(?:    .*\n|\n)+", "", text, flags=re.MULTILINE)


def call(workspace: Path, module: str, *words: str) -> None:
    """Run a module of the scratch copy; its output goes to standard error."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "SLUICE_WORKERS": str(WORKERS), "PYTHONPATH": str(workspace), "PATH": path}
    subprocess.run([sys.executable, "-m", module, *words], cwd=workspace, check=True, stdout=sys.stderr, env=environment)


if __name__ == "__main__":
    main()
