"""Questions to the tables, answered by hand on a few rows."""

import pytest

from tasks.contracts.curated import CONTRACT as SAMPLES
from tasks.methods import report_queries as queries
from tests.tasks.methods.report_tables import tables


@pytest.fixture
def connection(tmp_path):
    with tables(tmp_path) as found:
        yield found


def test_totals(connection):
    found = queries.totals(connection)
    expected = {"n_rows": 8, "n_decoded": 7, "n_kept": 3, "n_concepts": 2, "n_relabelled": 1, "n_wrong": 2, "n_off_topic": 1, "n_texts": 7}
    assert {name: found[name] for name in expected} == expected
    assert found["n_bytes"] == 700


def test_rows_per_reason_first_and_any(connection):
    found = queries.rows_per_reason(connection)
    assert found["label_noise"] == {"n": 1, "n_any": 1}
    assert set(found) == {"duplicate", "label_noise", "out_of_distribution", "timeout", "forgotten"}


def test_rows_per_crawl_and_split(connection):
    assert [(row["crawl"], row["n_rows"], row["n_kept"]) for row in queries.rows_per_crawl(connection)] == [("one", 7, 2), ("two", 1, 1)]
    assert queries.rows_per_split(connection) == [{"split": "train", "n": 3}]


def test_concepts_and_confusion(connection):
    found = {row["concept"]: row for row in queries.concept_figures(connection, limit=9)}
    assert (found["cat"]["n_rows"], found["cat"]["n_judged"], found["cat"]["n_right"], found["cat"]["n_off_topic"]) == (5, 3, 2, 1)
    cells = {(row["given"], row["suggested"]): row["n"] for row in queries.confusion(connection)}
    assert cells == {("cat", "cat"): 2, ("dog", "cat"): 2, ("dog", "dog"): 1, ("cat", None): 1}


def test_histograms_count_each_row_once_and_one_falls_into_the_last_bin(connection):
    found = queries.histograms(connection, bins=10)["label_score"]
    assert found[True] == [0, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert found[False] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]


def test_hosts(connection):
    number, rows = queries.host_figures(connection, limit=1)
    assert number == 2
    assert (rows[0]["host"], rows[0]["n_rows"]) == ("a.test", 7)


def test_variables(connection):
    found = {row["name"]: row for row in queries.variable_figures(connection, SAMPLES.schema)}
    assert found["bytes"]["missing"] == 0.125
    assert (found["bytes"]["min"], found["bytes"]["max"]) == (100, 100)
    assert found["concept"]["commonest"] == "cat"
    assert found["concept"]["meaning"].startswith("Concept that the image was searched for")
    assert len(found) == len(SAMPLES.schema)


def test_empty_tables_have_answers(connection):
    assert queries.correlations(connection, ["label_score", "ood_score"]) == [[None, None], [None, None]]
    assert queries.accuracy_per_concept(connection) == (0, [])


def test_evidence(connection):
    assert queries.evidence_figures(connection) == [{"evidence": "exact", "n": 2}]
