"""A small git repository with a DVC cache that tests write into, and nothing else: no DVC process runs."""

import hashlib
import json
import subprocess
from pathlib import Path

import yaml

GRAPH = """
stages:
  curate:
    cmd: exec python -m tasks.curate
    outs: [data/curated]
    metrics:
      - reports/metrics/curate.json: {cache: false}
  catalog:
    cmd: exec python -m tasks.catalog
    deps: [data/curated, data/concepts]
    outs: [data/catalog]
  report:
    cmd: exec python -m tasks.report
    deps: [data/catalog]
    outs: [reports/index.html]
"""
GATES = [{"figure": "curate.kept", "means": "rows kept", "at_least": 1, "may_fall": 0.5}]


def git(folder: Path, *words: str) -> str:
    """Call git as somebody."""
    command = ["git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def make_repository(folder: Path) -> Path:
    """A repository with one commit: two crawls, and tables with one row each."""
    for name, text in {
        "dvc.yaml": GRAPH,
        ".gitignore": "/.sluice/\n/versions/\n/data/*\n!/data/concepts/\n",
        "data/concepts/mine.yaml": "concepts: []\n",
        ".dvc/config": "[core]\n    analytics = false\n",
        ".dvc/.gitignore": "/cache\n/tmp\n/config.local\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "-q", "-b", "main")
    build(folder, crawls=["one"], kept=10)
    return folder


def build(folder: Path, *, crawls: list[str], kept: int, text: str = "") -> str:
    """What a `dvc repro` and a commit leave; the commit."""
    (folder / "params.yaml").write_text(yaml.safe_dump({"crawls": crawls, "publish": {"gates": GATES}}))
    metrics = folder / "reports/metrics/curate.json"
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text(json.dumps({"rows": 2 * kept, "kept": kept, "concepts": {"cat": kept}}))
    tables = {f"samples/crawl={crawl}/part.parquet": f"{crawl} {kept} {text}" for crawl in crawls}
    catalog = put_folder(folder, {"sluice.duckdb": f"catalog of {kept}"})
    stages = {
        "curate": {"cmd": "", "outs": [{"path": "data/curated", "hash": "md5", "md5": put_folder(folder, tables)}]},
        "catalog": {"cmd": "", "outs": [{"path": "data/catalog", "hash": "md5", "md5": catalog}]},
        "report": {"cmd": "", "outs": [{"path": "reports/index.html", "hash": "md5", "md5": put(folder, f"<p>{kept}</p>".encode())}]},
    }
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", f"{kept} kept")
    return git(folder, "rev-parse", "HEAD")


def put_folder(folder: Path, files: dict[str, str]) -> str:
    """Put a folder into the cache; its object's name."""
    entries = [{"md5": put(folder, text.encode()), "relpath": name} for name, text in sorted(files.items())]
    return put(folder, json.dumps(entries).encode(), ".dir")


def put(folder: Path, data: bytes, suffix: str = "") -> str:
    """Put an object into the cache; its name."""
    name = hashlib.md5(data, usedforsecurity=False).hexdigest() + suffix
    path = folder / ".dvc/cache/files/md5" / name[:2] / name[2:]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o444)
    return name
