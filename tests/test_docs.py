"""The site builds without a warning, its reference is complete, its links hold, and its examples run."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.conftest import REPO
from tests.workspace import environment

PAGES = [path for path in sorted((REPO / "docs").rglob("*.md")) if "adr" not in path.parts]
OURS = [REPO / "docs" / name for name in ("index.md", "tutorial.md", "explanation.md")] + sorted((REPO / "docs/how-to").glob("*.md"))
EXAMPLES = [line for page in OURS for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL) for line in block.splitlines()]


def load_generator():
    spec = importlib.util.spec_from_file_location("generate", REPO / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    return load_generator().pages()


def test_every_param_stands_in_the_reference(reference):
    text = reference["params"]
    for section, values in yaml.safe_load((REPO / "params.yaml").read_text()).items():
        assert f"\n## {section}\n" in text
        for name in values if isinstance(values, dict) else ():
            assert re.search(rf"^  {re.escape(name)}:", text, re.MULTILINE), f"{section}.{name}"
    assert text.count("```") == 2 * text.count("\n## ")


def test_every_table_and_column_stands_in_the_reference(reference):
    for path in (REPO / "tasks/contracts").glob("[!_]*.py"):
        contract = importlib.import_module(f"tasks.contracts.{path.stem}").CONTRACT
        part = reference["contracts"].partition(f"\n## {path.stem}\n")[2].partition("\n## ")[0]
        assert all(f"| `{name}` |" in part for name in contract.schema.names), path.stem


def test_every_command_stands_in_the_reference(reference):
    words = re.findall(r"(commands|actions)\.add_parser\(\"(\w+)\"", (REPO / "tasks/cli.py").read_text())
    names = {f"crawl {word}" if group == "actions" else word for group, word in words} - {"crawl"}
    assert len(names) > 10
    for name in names:
        assert f"\n## sluice {name}\n" in reference["commands"]
    assert "usage: sluice explore" in reference["commands"]


def test_every_view_stands_in_the_reference(reference):
    for name in ("samples", "funnel", "concepts", "crawls", "pairs", "neighbors", "predictions", "drift", "proposals", "runs"):
        assert f"\n## {name}\n" in reference["views"]
    assert "| `review_priority` | FLOAT | Expected gain" in reference["views"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if "://" in target or "reference/" in target:
            continue
        if target.endswith(".png") and target.startswith("explore-") and not (page.parent / target).exists():
            pytest.skip(f"{target} is not taken yet: run pytest -m slow tests/test_explore_browser.py after `dvc repro`")
        assert (page.parent / target).resolve().exists(), target


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_run(example, finished):
    if "SAMPLE" in example:
        example = example.replace("SAMPLE", pq.read_table(finished / "data/curated/samples", columns=["sample_id"])["sample_id"][0].as_py())
    words = shlex.split(example)
    assert words[0] == "sluice"
    done = subprocess.run(
        [sys.executable, "-m", "tasks.cli", *words[1:]], cwd=finished, capture_output=True, text=True, env=environment(finished)
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_site_builds_and_asks_nothing_of_the_network(tmp_path):
    pytest.importorskip("material", reason="no mkdocs-material here: uv sync --group docs")
    command = [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, env=environment(REPO, NO_MKDOCS_2_WARNING="1"))
    assert done.returncode == 0, done.stdout + done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|iframe)[^>]+src="([^"]+)"|<link[^>]+rel="stylesheet"[^>]+href="([^"]+)"', page.read_text())
        assert not [one for pair in loaded for one in pair if one.startswith(("http:", "https:", "//"))], page
    assert "generate.py" not in {path.name for path in Path(tmp_path / "site").rglob("*")}
