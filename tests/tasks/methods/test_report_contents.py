"""Sections hold what they are named after, and no row to show is missed."""

import numpy as np
import pytest

from tasks.methods.report_contents import bought, figures, judged, mapped, rows_in
from tests.tasks.methods.report_tables import tables


@pytest.fixture
def connection(tmp_path):
    with tables(tmp_path) as found:
        yield found


def test_figures_are_of_the_crawls_named_and_bounded(connection):
    found = figures(connection, 2, ["two", "gone", "one"], bins=4, most_rows=1, most_matrix=1)
    assert [row["crawl"] for row in found["per_crawl"]] == [row["crawl"] for row in found["drift"]] == ["two", "one"]
    assert found["totals"]["n_rows"] == 8
    assert [row["concept"] for row in found["worst"]] == ["dog"]
    assert [row["given"] for row in found["matrix"]["rows"]] == ["cat"]
    assert [spread["name"] for spread in found["spreads"]] == ["label_score", "ood_score", "text_score", "near_duplicate_score"]


def test_before_anything_is_measured(connection):
    found = bought(connection, {}, {})
    assert found["verdict"] == "What the cleaning bought is not measured yet."
    assert found["headline"] is None
    assert found["comparisons"] == found["curves"] == []


def test_without_a_threshold_there_are_no_close_calls(connection):
    found = judged(connection, None, bins=10, close=3, sheet=4)
    assert found["boundary"] == {"kept": [], "dropped": []}
    assert found["tradeoff"]["chosen"] is None
    assert len(found["browse"]["rows"]) == 4


def test_the_map_counts_its_groups():
    found = mapped([None, None, "leak"], np.eye(3))
    assert [(group["name"], group["n"]) for group in found["groups"]] == [("kept", 2), ("other", 1)]
    assert mapped([], np.zeros((0, 3)))["groups"] == []


def test_rows_are_found_however_deep():
    row = {"sample_id": "a", "shard": "00000"}
    assert list(rows_in({"x": [{"rows": ({"deep": row}, 5, None)}], "y": row, "z": {"sample_id": "no shard"}})) == [row, row]
