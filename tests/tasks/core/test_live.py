import json
import logging
import time

from tasks.core import live
from tasks.core.live import Figures, line, prometheus, watched

TALLIES = [
    {"done": 60, "kept": 20, "ok": 50, "bytes": 4_000_000, "details": {"dns": 4, "timeout": 6}},
    {"done": 40, "kept": 0, "ok": 40, "bytes": 2_000_000, "details": {}},
]


def test_rates_are_those_of_what_was_fetched():
    figures = Figures("ingest", "mine", total=200)
    first = figures.update([{"done": 20, "kept": 20, "ok": 20, "bytes": 0, "details": {}}], 100.0)
    assert (first["images_per_second"], first["eta_seconds"]) == (0.0, None)
    found = figures.update(TALLIES, 104.0)
    assert found == {
        "stage": "ingest", "item": "mine", "images": 200, "images_done": 100, "images_kept": 20, "images_ok": 90, "success": 0.9,
        "bytes": 6_000_000, "images_per_second": 20.0, "bytes_per_second": 1_500_000.0, "eta_seconds": 5.0,
        "errors": {"timeout": 6, "dns": 4},
    }  # fmt: skip
    assert line(found) == "100 of 200 images, 20/s, 1.5 MB/s, 90% ok, 5 s left (timeout 6, dns 4)"
    later = figures.update(TALLIES, 104.0 + live.WINDOW_S + 1)
    assert later["images_per_second"] == 0.0


def test_nothing_counted_yet():
    found = Figures("ingest", "mine", total=5).update([], 1.0)
    assert (found["success"], found["eta_seconds"]) == (None, None)
    assert line(found) == "0 of 5 images, 0/s, 0.0 MB/s"
    assert "success" not in prometheus({**found, "updated_seconds": 1.0})


def test_prometheus_text():
    figures = Figures("ingest", "mine", total=200)
    figures.update([], 100.0)
    text = prometheus({**figures.update(TALLIES, 104.0), "updated_seconds": 7.5})
    assert text.endswith("\n")
    assert 'sluice_images_done{stage="ingest",item="mine"} 100\n' in text
    assert 'sluice_failures{stage="ingest",item="mine",detail="timeout"} 6\n' in text
    assert 'sluice_updated_seconds{stage="ingest",item="mine"} 7.5\n' in text
    names = {row.split("{")[0] for row in text.splitlines() if not row.startswith("#")}
    assert {row.split()[2] for row in text.splitlines() if row.startswith("# TYPE")} == names


def test_files_for_programs(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "SECONDS_BETWEEN_LOOKS", 0.05)
    monkeypatch.setenv("SLUICE_PROGRESS_JSON", str(tmp_path / "p.jsonl"))
    monkeypatch.setenv("SLUICE_PROGRESS_PROMETHEUS", str(tmp_path / "p.prom"))
    with watched(lambda: TALLIES, "ingest", "mine", 200):
        time.sleep(0.2)
    lines = [json.loads(text) for text in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert len(lines) >= 2
    assert {"time", "images_done", "errors", "eta_seconds", "bytes_per_second"} <= lines[-1].keys()
    assert "sluice_images_ok" in (tmp_path / "p.prom").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.jsonl", "p.prom"]


def test_a_wrong_path_does_not_end_the_stage(tmp_path, monkeypatch):
    monkeypatch.setenv("SLUICE_PROGRESS_JSON", str(tmp_path / "no" / "p.jsonl"))
    with watched(lambda: TALLIES, "ingest", "mine", 200):
        pass


def test_plain_lines_where_there_is_no_terminal(caplog, monkeypatch):
    monkeypatch.setattr(live, "SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO), watched(lambda: TALLIES, "ingest", "mine", 200):
        pass
    assert caplog.records[0].getMessage() == "ingest mine: 100 of 200 images, 0/s, 0.0 MB/s, 90% ok (timeout 6, dns 4)"


def test_a_bar_in_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with watched(lambda: TALLIES, "ingest", "mine", 200):
        pass
    assert "ingest mine" in capsys.readouterr().err
