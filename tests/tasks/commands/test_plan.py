"""The plan: everything is checked before any work, each fault is one line, costs come from runs where there are any."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from tasks.cli import main
from tasks.commands.plan import estimate
from tasks.core.crawls import CrawlSettings, write_crawl
from tasks.core.graph import read_graph
from tasks.core.params import read_params
from tests.tasks.conftest import digest

VALIDATE = """
validate:
  min_side: 16
  max_aspect_ratio: 5.0
  min_safety: {}
  min_rows: 1
  min_success_share: 0.3
  min_valid_share: 0.2
  min_described_share: 0.5
  max_largest_duplicate_share: 0.2
  formats: [jpeg]
  max_side: 30000
  min_conforming_share: 0.99
  max_sampled_rows: 1000
"""
STAGES = ("ingest", "validate", "catalog")


@pytest.fixture
def small(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of three stages, whose second crawl is not made yet."""
    content = yaml.safe_load((project / "dvc.yaml").read_text())
    content["stages"] = {name: content["stages"][name] for name in STAGES}
    content["stages"]["catalog"]["params"] = ["crawls", "sealed"]
    (project / "dvc.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    (project / "params.yaml").write_text((project / "params.yaml").read_text() + VALIDATE)
    make_crawl(project, 5)
    monkeypatch.setenv("SLUICE_DEVICE", "cpu")
    return project


def make_crawl(project: Path, n_rows: int, concept: str = "cat") -> None:
    rows = [{"sample_id": digest(f"s{n}"), "image_id": digest(f"i{n}"), "url": f"http://demo.test/{n}"} for n in range(n_rows)]
    full = [row | {"alt_text": "a cat", "concept": concept, "page_url": None, "extra": None} for row in rows]
    settings = CrawlSettings.model_validate(read_params(project / "params.yaml")["ingest"])
    write_crawl(project / "data/crawls/demo-1", pa.Table.from_pylist(full), settings)


def test_a_sound_project_gets_a_table(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["stage", "runs", "rows", "hours", "GB", "seconds", "from"]
    assert [line.split()[0] for line in lines[2:6]] == ["ingest", "validate", "catalog", "all"]
    assert lines[2].split() == ["ingest", "2", "5", "0.01", "0.00", "typical"]
    assert lines[6] == "not counted: demo-2 (made by `dvc repro`, rows unknown until then)"
    assert lines[7].startswith("2 crawls, 2 concepts, ")
    assert lines[7].endswith("device cpu")


def test_recorded_runs_replace_typical_costs(small: Path) -> None:
    def run(crawl: str, seconds: float) -> dict[str, Any]:
        return {"stage": "ingest", "item": crawl, "status": "completed", "seconds": seconds}

    runs = [run("demo-1", 999.0), run("demo-1", 36.0)]
    costs = {cost.stage: cost for cost in estimate(read_graph(), read_params(), {"demo-1": 1000, "demo-2": 99_000}, runs)}
    assert costs["ingest"].basis == "recorded"
    assert costs["ingest"].hours == pytest.approx(1.0)
    assert costs["validate"].basis == "typical"
    assert costs["ingest"].gigabytes == pytest.approx(4.0)


def misspell(project: Path) -> str:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("  min_side:", "  min_sied:"))
    return "params.yaml: key 'validate.min_side' is missing; params.yaml: unknown key 'validate.min_sied' (known: formats, "


def repeat_concept(project: Path) -> str:
    (project / "data/concepts/mine.yaml").write_text("concepts: [{name: cat, definition: a tracked vehicle}]")
    return "concept 'cat' stands twice, in data/concepts/mine.yaml and data/concepts/pets.yaml: remove or rename one"


def unknown_concept(project: Path) -> str:
    make_crawl(project, 3, concept="zebra")
    return "the manifest names concepts that no file in data/concepts defines: 'zebra' (3 rows); known: cat, dog; "


def hostile_name(project: Path) -> str:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("crawls: [demo-1,", "crawls: ['$(reboot)',"))
    return "crawl name '$(reboot)' is not allowed: use 1 to 63 of a-z, 0-9, '_' and '-', starting with a letter or digit"


def missing_crawl(project: Path) -> str:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("crawls: [demo-1,", "crawls: [nightly,"))
    return "crawl 'nightly' stands in params.yaml, but data/crawls/nightly is not there: add it with `sluice crawl add`, or `dvc pull`"


def wrong_wiring(project: Path) -> str:
    path = project / "dvc.yaml"
    path.write_text(path.read_text().replace("data/records/", "data/recordings/"))
    return "stage 'ingest'"


def missing_stage(project: Path) -> str:
    path = project / "dvc.yaml"
    path.write_text(path.read_text().replace("  catalog:", "  catalogue:"))
    return "stage 'catalogue' stands in dvc.yaml, but there is no tasks/catalogue.py"


FAULTS = [misspell, repeat_concept, unknown_concept, hostile_name, missing_crawl, wrong_wiring, missing_stage]


@pytest.mark.parametrize("spoil", FAULTS)
def test_each_fault_is_one_line(small: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], str]) -> None:
    message = spoil(small)
    assert main(["plan"]) == 1
    found = capsys.readouterr().err
    assert found.startswith(f"error: {message}")
    assert found.count("\n") == 1


def test_a_gpu_that_is_not_there(small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_DEVICE", "cuda:7")
    assert main(["plan"]) == 1
    assert capsys.readouterr().err.startswith("error: SLUICE_DEVICE='cuda:7' asks for a device that isn't there (")


def test_too_small_a_disk(small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))  # type: ignore[attr-defined]
    assert main(["plan"]) == 1
    message = f"error: not enough disk at {small}: the data needs about 0.0 GB (DVC's cache included), 0.0 GB are free\n"
    assert capsys.readouterr().err == message
