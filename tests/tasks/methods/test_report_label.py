"""Figures become the right words and cells."""

import pytest

from tasks.methods.report_label import funnel, machine, matrix, metadata, provenance, truth

TOTALS = {
    "n_rows": 1000, "n_kept": 600, "n_decoded": 900, "n_concepts": 2, "n_bytes": 2_500_000, "n_texts": 870,
    "n_wrong": 50, "n_off_topic": 40, "n_reviewed": 0, "n_agreed": 0,
}  # fmt: skip


def test_the_funnel_narrows_in_its_own_order():
    rows = funnel({"broken": {"n": 100, "n_any": 100}, "leak": {"n": 300, "n_any": 350}}, [("leak", "l"), ("broken", "b")], n_rows=1000)
    assert [(row["reason"], row["share"], row["left"]) for row in rows] == [("leak", 0.3, 0.7), ("broken", 0.1, pytest.approx(0.6))]
    assert rows[0]["n_any"] == 350


def test_the_matrix_gathers_the_small_and_the_off_topic():
    rows = [
        {"given": "cat", "suggested": "cat", "n": 64},
        {"given": "cat", "suggested": "dog", "n": 16},
        {"given": "cat", "suggested": "eel", "n": 5},
        {"given": "cat", "suggested": None, "n": 15},
        {"given": "dog", "suggested": "dog", "n": 50},
        {"given": "eel", "suggested": "eel", "n": 1},
    ]
    found = matrix(rows, limit=2)
    assert found["columns"] == ["cat", "dog", "another", "off topic"]
    assert [cell["n"] for cell in found["rows"][0]["cells"]] == [64, 16, 5, 15]
    assert found["rows"][0]["cells"][0] == {"n": 64, "share": 0.8, "same": True}
    assert [cell["same"] for cell in found["rows"][1]["cells"]] == [False, True, False, False]


def test_without_concepts_the_matrix_is_empty():
    assert matrix([], limit=5)["rows"] == []


def test_facts():
    facts = dict(metadata(totals=TOTALS, crawls=["a", "b"], concepts=["cat", "dog"], splits=[{"split": "train", "n": 500}]))
    assert facts["Rows"] == "1,000, of which 600 are kept".replace(",", "\u202f", 1)
    assert facts["Splits of the kept"] == "train 500"
    assert facts["Downloaded"] == "2.5 MB"
    sources = dict(provenance(totals=TOTALS, n_hosts=1, reasons={"disallowed": {"n": 3, "n_any": 4}}))
    assert sources["Source"] == "the open web, 1 host, fetched by address"
    assert sources["Left alone"].startswith("4 rows")
    assert dict(truth(totals=TOTALS, n_clean=0)) == {
        "Estimated noise": "50 rows under a wrong concept, 40 showing none",
        "People's verdicts": "none yet",
        "Clean test pictures": "none were used",
    }


def test_machine_tells_of_the_last_run():
    run = {"python": "3.11", "platform": "Linux", "versions": {"b": "2", "a": "1"}, "settings": {"pool": "serial"}, "seconds": 2.4}
    facts = dict(machine([{**run, "started": "2026-01-01T00:00:00"}, {**run, "started": "2026-01-02T03:04:05"}]))
    assert facts["Versions"] == "a 1, b 2"
    assert facts["Last run"] == "2026-01-02 03:04 UTC"
    assert facts["All stages"] == "5 s"
    assert machine([]) == []
