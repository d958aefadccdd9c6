"""What one column tells of another, by hand."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.contracts.curated import CONTRACT as SAMPLES
from tasks.methods.report_dependence import dependence, truth_correlations
from tasks.methods.report_queries import open_tables
from tests.tasks.methods.report_tables import dropped, sample


@pytest.fixture
def connection(tmp_path):
    rows: list[dict[str, Any]] = [
        sample("a", concept="cat", split="train", label_score=0.9, reviewed="confirmed"),
        sample("b", concept="cat", split="test", label_score=0.8, reviewed="confirmed"),
        sample("c", concept="dog", split="train", label_score=0.1, reviewed="corrected"),
        dropped("d", "rejected", concept="dog", split="test", label_score=0.2, reviewed="dropped"),
        sample("e", concept=None, split="train", label_score=0.5),
        sample("f", concept=None, split="test", label_score=0.5),
    ]
    for row in rows:
        row["suggested_concept"] = {"cat": "felis", "dog": "canis"}.get(row["concept"])
    pq.write_table(pa.Table.from_pylist(rows, schema=SAMPLES.schema), tmp_path / "samples.parquet")
    with open_tables({"samples": ([str(tmp_path / "samples.parquet")], SAMPLES.schema)}) as found:
        yield found


def test_one_gives_the_other_or_knows_nothing_of_it(connection):
    found = dependence(connection, ("concept", "suggested_concept", "split", "crawl"))
    assert found[0][1] == pytest.approx(1.0)
    assert found[0][2] == pytest.approx(0.0)
    assert found[0][0] == pytest.approx(1.0)
    assert found[0][1] == found[1][0]
    assert found[3] == [None] * 4  # one crawl: it doesn't vary


def test_scores_against_people(connection):
    found = dict(truth_correlations(connection, ("label_score", "ood_score")))
    assert found["label_score"] == pytest.approx(0.99, abs=0.01)
    assert found["ood_score"] is None


def test_without_verdicts_there_is_no_correlation(tmp_path):
    with open_tables({"samples": ([], SAMPLES.schema)}) as empty:
        assert truth_correlations(empty, ("label_score",)) == [("label_score", None)]
