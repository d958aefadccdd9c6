"""Every kind of damage is found, by bytes and not by what DVC remembers."""

import json
from hashlib import md5
from pathlib import Path

import pytest
import yaml

from tasks.core.graph import read_graph
from tasks.core.inventory import changed_files, is_metric, strays, tracked_outs

GRAPH = """
stages:
  ingest:
    foreach: ${crawls}
    do:
      cmd: exec python -m tasks.ingest ${item}
      outs: ["data/records/${item}"]
      metrics: ["reports/metrics/ingest/${item}.json": {cache: false}]
"""


def name_of(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with one crawl of two shards, a sealed one, and metrics, as DVC leaves them."""
    monkeypatch.chdir(tmp_path)
    store, outs = tmp_path / "cache", {}
    for crawl in ("a", "b"):
        folder = Path("data/records", crawl)
        folder.mkdir(parents=True)
        entries = []
        for shard in ("0.parquet", "1.parquet"):
            (folder / shard).write_text(crawl + shard)
            entries.append({"md5": keep(store, crawl + shard), "relpath": shard})
        outs[str(folder)] = keep(store, json.dumps(entries), ".dir")
    metric = Path("reports/metrics/ingest/a.json")
    metric.parent.mkdir(parents=True)
    metric.write_text("{}")
    locked = [{"path": "data/records/a", "md5": outs["data/records/a"]}, {"path": str(metric), "md5": name_of("{}")}]
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"ingest@a": {"outs": locked}}}))
    sealed = {"wdir": "..", "outs": [{"path": "data/records/b", "md5": outs["data/records/b"]}]}
    Path("sealed").mkdir()
    Path("sealed/0000.dvc").write_text(yaml.safe_dump(sealed))
    Path("dvc.yaml").write_text(GRAPH)
    return store


def keep(store: Path, text: str, ending: str = "") -> str:
    name = name_of(text) + ending
    (store / name[:2]).mkdir(parents=True, exist_ok=True)
    (store / name[:2] / name[2:]).write_text(text)
    return name


def faults(cache: Path) -> list[tuple[str, str]]:
    return [(found.path, found.what) for found in changed_files(tracked_outs(), cache, read_graph())]


def test_what_is_whole_has_no_fault(cache: Path) -> None:
    assert set(tracked_outs()) == {"data/records/a", "data/records/b", "reports/metrics/ingest/a.json"}
    assert faults(cache) == []
    assert list(strays(read_graph(), ["a", "b"])) == []


def test_damage_is_found_where_it_is(cache: Path) -> None:
    Path("data/records/a/0.parquet").write_text("a0_parquet")  # of the same length
    Path("data/records/a/1.parquet").unlink()
    Path("data/records/b/2.parquet").write_text("more")
    Path("reports/metrics/ingest/a.json").write_text("[]")
    assert faults(cache) == [
        ("data/records/a/0.parquet", "its bytes are not those that were made"),
        ("data/records/a/1.parquet", "missing"),
        ("data/records/b/2.parquet", "no stage made it"),
        ("reports/metrics/ingest/a.json", "its bytes are not those that were made"),
    ]


def test_damage_of_the_cache_is_found(cache: Path) -> None:
    name = name_of("b0.parquet")
    (cache / name[:2] / name[2:]).write_text("rot")
    folder = tracked_outs()["data/records/a"]
    (cache / folder[:2] / folder[2:]).unlink()
    found = list(changed_files(tracked_outs(), cache, read_graph()))
    assert [(fault.path, fault.objects) for fault in found] == [
        ("data/records/a", (cache / folder[:2] / folder[2:],)),
        ("data/records/b/0.parquet", (cache / name[:2] / name[2:],)),
    ]


def test_a_hard_link_that_rotted_is_damaged_on_both_sides(cache: Path) -> None:
    name = name_of("b0.parquet")
    file, stored = Path("data/records/b/0.parquet"), cache / name[:2] / name[2:]
    file.unlink()
    file.hardlink_to(stored)
    file.write_text("rot")
    (fault,) = changed_files(tracked_outs(), cache, read_graph())
    assert (fault.path, fault.objects) == (str(file), (stored,))


def test_what_belongs_to_nobody_is_found(cache: Path) -> None:
    Path("data/records/a/.0.parquet.12.tmp").write_text("half")
    assert [fault.path for fault in strays(read_graph(), ["a"])] == ["data/records/b", "data/records/a/.0.parquet.12.tmp"]


def test_metrics_are_told_by_their_template(cache: Path) -> None:
    assert is_metric("reports/metrics/ingest/a.json", read_graph())
    assert not is_metric("reports/metrics/ingest.json", read_graph())
    assert not is_metric("reports/metrics/ingest/a/b.json", read_graph())
