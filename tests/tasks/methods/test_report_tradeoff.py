"""Purity against yield, by hand."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.contracts.curated import CONTRACT as SAMPLES
from tasks.methods.report_queries import open_tables
from tasks.methods.report_tradeoff import chart, chosen, tradeoff
from tests.tasks.methods.report_tables import dropped, sample


@pytest.fixture
def connection(tmp_path):
    rows: list[dict[str, Any]] = [sample("a", confidence=0.95), sample("b", confidence=0.85), dropped("c", "label_noise", confidence=0.25)]
    rows += [dropped("d", "duplicate", confidence=0.99), dropped("e", "rejected", confidence=0.99, reviewed="dropped")]
    rows += [sample("f", confidence=0.1, reviewed="confirmed"), dropped("g", "timeout", status="failed")]
    pq.write_table(pa.Table.from_pylist(rows, schema=SAMPLES.schema), tmp_path / "samples.parquet")
    with open_tables({"samples": ([str(tmp_path / "samples.parquet")], SAMPLES.schema)}) as found:
        yield found


def test_purity_falls_as_yield_grows(connection):
    rows = tradeoff(connection, bins=10)
    assert [(row["threshold"], row["n"], row["yield"]) for row in rows] == [(0.9, 2, 0.5), (0.8, 3, 0.75), (0.2, 4, 1.0)]
    assert [row["purity"] for row in rows] == pytest.approx([1.95 / 2, 2.8 / 3, 3.05 / 4], abs=1e-6)


def test_the_chosen_point_lies_on_it(connection):
    found = chosen(connection, threshold=0.8)
    assert found is not None
    assert (found["n"], found["yield"], found["purity"]) == (3, 0.75, pytest.approx(2.8 / 3, abs=1e-6))
    assert chosen(connection, threshold=1.5) is None


def test_the_chart_says_what_was_chosen(connection):
    drawn = str(chart(tradeoff(connection, bins=10), chosen(connection, threshold=0.8)))
    assert "chosen: purity 0.933 at yield 0.750" in drawn
    assert drawn.count('<circle class="dot kept"') == 1
    assert "chosen" not in str(chart([], None))
