"""Make small workspaces: copies of the project with a demo of a few hundred rows."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.curation import copy_project, merge

TOY = Path(__file__).with_name("toy.yaml")


def toy_workspace(folder: Path) -> Path:
    """A copy of the project whose params are those of tests/toy.yaml where that file says something."""
    copy_project(folder)
    set_params(folder, **YAML().load(TOY))
    return folder


def set_params(folder: Path, **changes: Any) -> None:
    """Change params.yaml; mappings are merged key by key."""
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    merge(params, changes)
    yaml.dump(params, folder / "params.yaml")


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment in which a workspace's own code runs."""
    return {**os.environ, "PYTHONPATH": str(folder), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **more}


def repro(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `dvc repro` there and hand back what it printed; fails the test if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", *words], cwd=folder, capture_output=True, text=True, env=environment(folder, **more)
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def table_bytes(folder: Path) -> dict[str, bytes]:
    """Every table and tar shard under data/, by relative path."""
    kinds = {".parquet", ".tar", ".safetensors"}
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted((folder / "data").rglob("*")) if path.suffix in kinds}
