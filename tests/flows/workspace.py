"""A tiny workspace: real git, DVC, flows and publishing, and stages of three lines that can be told to fail or to hang."""

import shutil
import subprocess
from pathlib import Path

from tests.conftest import REPO

STAGE = """
import collections, json, pathlib, re, subprocess, sys, time
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
if stage == "curate":
    words = [word for word in re.findall("[a-z]+", text) if word not in ("index", "validate", "ingest")]
    figures = {"rows": len(words), "kept": sum(word != "noise" for word in words), "concepts": collections.Counter(words)}
    metrics = pathlib.Path("reports/metrics/curate.json")
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text(json.dumps(figures))
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
  curate:
    cmd: exec python stage.py curate data/index data/curated/samples.txt
    deps: [data/index]
    outs: [data/curated]
    metrics:
      - reports/metrics/curate.json: {cache: false}
  catalog:
    cmd: exec python stage.py catalog data/curated data/catalog/sluice.txt
    deps: [data/curated]
    outs: [data/catalog]
"""
PARAMS = """# the crawls
crawls: [old]
publish:
  gates:
    - {figure: curate.kept, means: rows kept, at_least: 1, may_fall: 0.2, may_grow: 5}
    - {figure: change.concept_mix, means: mix of concepts, at_most: 0.9}
"""
CRAWL = """
import pathlib, sys
import yaml
def dvc(*words):
    raise NotImplementedError
def run(arguments):
    params = pathlib.Path("params.yaml")
    values = yaml.safe_load(params.read_text())
    name, folder = arguments.name, pathlib.Path("data/crawls", arguments.name)
    if arguments.action == "add":
        text = pathlib.Path(arguments.manifest).read_text()
        if "no columns" in text:
            sys.exit("error: the manifest has no column 'url'")
        folder.write_text(text)
        values["crawls"].append(name)
    else:
        if name in values["crawls"]:
            values["crawls"].remove(name)
        for found in pathlib.Path("data").glob(f"*/{name}"):
            found.unlink()
    params.write_text(yaml.safe_dump(values))
"""
COPIED = (
    *("prefect.yaml", "tasks/__init__.py", "tasks/cli.py", "tasks/commands/__init__.py", "tasks/methods/__init__.py"),
    *("tasks/commands/publish.py", "tasks/commands/versions.py", "tasks/commands/output.py", "tasks/methods/harmless.py"),
)
IGNORED = """
/data/*
!/data/crawls/
__pycache__/
/.sluice/
/.prefect/
/versions/
/inbox/
/hanging
*.log
*.csv
"""


def make_workspace(folder: Path) -> Path:
    """The workspace with one crawl, `old`; nothing is built yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("flows", "tasks/core"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / name, folder / name)
    for name, text in {
        "stage.py": STAGE,
        "dvc.yaml": DVC,
        "params.yaml": PARAMS,
        "clean.txt": "clean",
        "tasks/commands/crawl.py": CRAWL,
        ".dvc/config": "[core]\n    analytics = false\n    check_update = false\n    autostage = false\n",
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
        ".gitignore": IGNORED,
        "data/crawls/old": "old rows",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "Start")):
        git(folder, *words)
    return folder


def git(folder: Path, *words: str) -> str:
    """Call git as somebody."""
    command = ["git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
