"""A tiny workspace: real DVC, real flows, and stages of three lines that can be told to fail or to hang."""

import shutil
from pathlib import Path

from tests.conftest import REPO

STAGE = """
import pathlib, subprocess, sys, time
from tasks.core.processes import die_with_parent
die_with_parent()
stage, source, target = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
sources = sorted(path for path in (source.rglob("*") if source.is_dir() else [source]) if path.is_file() and path.suffix != ".gitignore")
text = " ".join(path.read_text() for path in sources)
print(f"{stage} reads {text}")
if stage == "ingest" and "hang" in text:
    pathlib.Path("hanging").write_text("")
    subprocess.run([sys.executable, "-c", "import time; time.sleep(120)"])
if stage in ("validate", "prepare") and "poison" in text:
    sys.exit(f"error: {stage}: crawl refused: expect_table_columns: 'url' is missing")
target.parent.mkdir(parents=True, exist_ok=True)
target.write_text(f"{stage}({text})")
"""
DVC = """
stages:
  ingest:
    foreach: ${crawls}
    do:
      cmd: exec python stage.py ingest data/crawls/${item} data/records/${item}
      deps: ["data/crawls/${item}"]
      outs: ["data/records/${item}"]
  validate:
    foreach: ${crawls}
    do:
      cmd: exec python stage.py validate data/records/${item} data/validity/${item}
      deps: ["data/records/${item}"]
      outs: ["data/validity/${item}"]
  prepare:
    cmd: exec python stage.py prepare clean.txt data/encoder
    deps: [clean.txt]
    outs: [data/encoder]
  index:
    cmd: exec python stage.py index data/validity data/index
    deps: [data/validity, data/encoder]
    params: [crawls]
    outs: [data/index]
"""
CLI = """
import pathlib, shutil, sys
import yaml
verb, name = sys.argv[2:4]
params = pathlib.Path("params.yaml")
crawls = yaml.safe_load(params.read_text())["crawls"]
folder = pathlib.Path("data/crawls", name)
if verb == "add":
    text = pathlib.Path(sys.argv[4]).read_text()
    if "no columns" in text:
        sys.exit("error: the manifest has no column 'url'")
    folder.write_text(text)
    crawls.append(name)
else:
    crawls.remove(name)
    for found in pathlib.Path("data").glob(f"*/{name}"):
        found.unlink()
params.write_text("crawls: [" + ", ".join(crawls) + "]\\n")
"""


def make_workspace(folder: Path) -> Path:
    """The workspace with one crawl, `old`; nothing is built yet."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(REPO / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(REPO / "tasks/core", folder / "tasks/core", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPO / "prefect.yaml", folder)
    for name, text in {
        "stage.py": STAGE,
        "dvc.yaml": DVC,
        "params.yaml": "# the crawls\ncrawls: [old]\n",
        "clean.txt": "clean",
        "tasks/__init__.py": "",
        "tasks/cli.py": CLI,
        ".dvc/config": "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n",
        "data/crawls/old": "old rows",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
