"""Hold dvc.yaml, signatures, imports, params, README and tests together."""

import importlib
import re

import pytest
import yaml

from tasks.core.graph import read_graph
from tasks.core.params import Params, SharedParams, read_params, section
from tasks.core.stage import annotations, check_wiring
from tests.conftest import REPO
from tests.wiring import code_of

GRAPH = read_graph(REPO / "dvc.yaml")
# These depend on a `format` number, or on their crawl's folder alone, instead of on code (docs/adr/0003).
WITHOUT_CODE = {"ingest", "prepare_encoder", "embed", "pretrain"}


# Spelt apart, so that this file doesn't hold what it looks for.
FORBIDDEN = (".".join(("pypi", "org")), "python" + "hosted", ".".join(("registry", "npmjs")), "/".join(("", "work", "main")))


def stage_function(name: str):
    return getattr(importlib.import_module(f"tasks.{name}"), name)


@pytest.fixture(autouse=True)
def in_repo(monkeypatch):
    monkeypatch.chdir(REPO)


@pytest.mark.parametrize("name", GRAPH)
def test_signature_is_the_declaration(name):
    check_wiring(stage_function(name), GRAPH[name])


@pytest.mark.parametrize("name", GRAPH)
def test_code_deps_are_the_imports(name):
    expected = set() if name in WITHOUT_CODE else code_of(stage_function(name), name, REPO)
    listed = {entry.template for entry in GRAPH[name].deps if entry.template.startswith("tasks/")}
    lines = "\n".join(f"      - {path}" for path in sorted(expected))
    assert listed == expected, f"dvc.yaml, stage {name}: the code deps should be\n{lines}"


@pytest.mark.parametrize("name", sorted(WITHOUT_CODE - {"ingest"}))
def test_a_stage_without_code_deps_has_a_format_number(name):
    assert isinstance(read_params()[name]["format"], int)


@pytest.mark.parametrize("name", GRAPH)
def test_params_section_loads(name):
    values = read_params()
    for kind in annotations(stage_function(name)).values():
        if issubclass(kind, Params):
            section(kind, "shared" if kind is SharedParams else name, values)


def test_every_number_in_params_has_a_reason():
    bare = []
    lines = (REPO / "params.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        if re.search(r":\s*[-\d.]+(e-?\d+)?\s*$", line) and not lines[number - 1].lstrip().startswith("#"):
            bare.append(f"{number + 1}: {line}")
    assert not bare, "give each number its reason in a comment:\n" + "\n".join(bare)


@pytest.mark.parametrize("name", GRAPH)
def test_command_runs_the_module_of_the_same_name(name):
    # `exec`: DVC starts a shell, and a shell that stays in between would keep the stage from ending with DVC.
    assert GRAPH[name].command.split()[:4] == ["exec", "python", "-m", f"tasks.{name}"]
    assert re.search(rf"^    main\({name}\)$", (REPO / "tasks" / f"{name}.py").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", GRAPH)
def test_metrics_are_named_after_the_stage(name):
    for entry in GRAPH[name].metrics:
        assert entry.template.startswith((f"reports/metrics/{name}.json", f"reports/metrics/{name}/"))


@pytest.mark.parametrize("name", GRAPH)
def test_readme_names_the_stage(name):
    assert f"`{name}`" in (REPO / "README.md").read_text()


def test_every_module_has_its_test():
    missing = []
    for path in sorted((REPO / "tasks").rglob("*.py")):
        relative = path.relative_to(REPO)
        if path.name in ("__init__.py", "errors.py") or relative.parts[1] == "contracts":
            continue
        mirror = REPO / "tests" / relative.parent / f"test_{path.name}"
        if not mirror.is_file():
            missing.append(str(mirror.relative_to(REPO)))
    assert not missing, "missing tests: " + ", ".join(missing)


def test_no_path_under_data_in_code():
    pattern = re.compile(r"""["']data/(?!\*)""")
    guilty = [str(path.relative_to(REPO)) for path in (REPO / "tasks").rglob("*.py") if pattern.search(path.read_text())]
    assert not guilty


def test_every_stage_has_a_description():
    stages = yaml.safe_load((REPO / "dvc.yaml").read_text())["stages"]
    assert all(body.get("do", body).get("desc") for body in stages.values())


def test_no_file_names_a_registry_or_this_machine():
    pattern = re.compile("|".join(map(re.escape, FORBIDDEN)))
    tracked = [path for path in REPO.rglob("*") if path.suffix in {".py", ".md", ".toml", ".yaml", ".txt", ".j2"}]
    ours = [path for path in tracked if not any(part.startswith(".") for part in path.relative_to(REPO).parts)]
    guilty = [str(path.relative_to(REPO)) for path in ours if pattern.search(path.read_text(errors="ignore"))]
    assert not guilty
