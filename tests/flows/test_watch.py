"""Each arrival is told once, a new one of the same name again."""

import os

from flows import watch as module
from flows.watch import arrivals, watch


def test_each_arrival_is_told_once(tmp_path):
    seen = {}
    assert list(arrivals(tmp_path / "inbox", seen)) == []
    (tmp_path / "b.csv").write_text("rows")
    (tmp_path / "a.parquet").write_text("rows")
    (tmp_path / "notes.md").write_text("no manifest")
    (tmp_path / ".c.csv").write_text("hidden: still being written")
    assert list(arrivals(tmp_path, seen)) == ["a", "b"]
    assert list(arrivals(tmp_path, seen)) == []
    (tmp_path / ".c.csv").rename(tmp_path / "c.csv")
    assert list(arrivals(tmp_path, seen)) == ["c"]


def test_a_manifest_put_there_again_is_told_again(tmp_path):
    seen = {}
    path = tmp_path / "a.csv"
    path.write_text("rows")
    assert list(arrivals(tmp_path, seen)) == ["a"]
    path.unlink()
    assert list(arrivals(tmp_path, seen)) == []
    path.write_text("rows")
    assert list(arrivals(tmp_path, seen)) == ["a"]


def test_one_that_goes_while_one_looks_is_no_arrival(tmp_path, monkeypatch):
    (tmp_path / "a.csv").symlink_to(tmp_path / "gone")
    assert list(arrivals(tmp_path, {})) == []
    assert module.stamp_of(tmp_path / "gone") is None


def test_watching_tells_of_what_waits_and_of_what_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0)
    (tmp_path / "a.csv").write_text("rows")
    told = []

    def tell(name):
        told.append(name)
        os.rename(tmp_path / "a.csv", tmp_path / "b.csv") if name == "a" else None

    watch(str(tmp_path), tell, rounds=3)
    assert told == ["a", "b"]
