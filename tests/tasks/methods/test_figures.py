"""Exact figures of a crawl, and a sample that doesn't depend on how it is cut into shards."""

from pathlib import Path

import pytest

from tasks.contracts.records import CONTRACT
from tasks.methods.figures import crawl_figures, failure_details, sampled_rows
from tests.tasks.conftest import make_record, write_table

ROWS = [
    make_record(0, sha256="a" * 64),
    make_record(1, sha256="a" * 64, alt_text="", concept=None),
    make_record(2, concept=None),
    make_record(3, status="failed", detail="dns", alt_text="  "),
    make_record(4, status="failed", detail="timeout"),
    make_record(5, status="failed", detail="dns"),
]


def write(root: Path, n_shards: int) -> list[str]:
    for shard in range(n_shards):
        write_table(CONTRACT, root, ROWS[shard::n_shards], shard=f"{shard:05d}")
    return sorted(map(str, root.rglob("*.parquet")))


def test_figures_by_hand(tmp_path: Path) -> None:
    figures = crawl_figures(write(tmp_path, 2))
    assert figures == {
        "n_rows": 6,
        "distinct_share": 1.0,
        "success_share": 0.5,
        "described_share": pytest.approx(5 / 6),
        "text_share": pytest.approx(4 / 6),
        "concept_share": pytest.approx(4 / 6),
        "largest_duplicate_share": pytest.approx(2 / 3),
    }
    assert list(failure_details(write(tmp_path, 2)).items()) == [("dns", 2), ("timeout", 1)]


def test_the_sample_is_the_same_for_any_shards(tmp_path: Path) -> None:
    one, three = write(tmp_path / "one", 1), write(tmp_path / "three", 3)
    assert sampled_rows(one, max_rows=4) == sampled_rows(three, max_rows=4)
    assert sampled_rows(one, max_rows=4)["sample_id"] == sorted(row["sample_id"] for row in ROWS)[:4]


def test_no_files_are_no_rows() -> None:
    assert crawl_figures([])["n_rows"] == 0
    assert failure_details([]) == {}
    assert sampled_rows([], max_rows=4)["status"] == []
