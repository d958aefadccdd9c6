"""The rows to show are bounded, have pictures, and come in a fixed order."""

import pytest

from tasks.methods import report_picks as picks
from tests.tasks.methods.report_tables import tables


@pytest.fixture
def connection(tmp_path):
    with tables(tmp_path) as found:
        yield found


def ids(rows):
    return [row["sample_id"] for row in rows]


def test_kept_rows_take_the_concepts_in_turn(connection):
    assert ids(picks.kept_rows(connection, limit=2)) == ["a", "c"]
    assert ids(picks.kept_rows(connection, limit=9)) == ["a", "c", "b"]


def test_dropped_rows_have_pictures(connection):
    found = picks.dropped_rows(connection, limit=1)
    assert {reason: ids(rows) for reason, rows in found.items()} == {
        "duplicate": ["d"],
        "label_noise": ["e"],
        "out_of_distribution": ["f"],
    }


def test_anchors_the_most_typical_first(connection):
    assert ids(picks.anchor_rows(connection, limit=5)["cat"]) == ["b", "a"]
    assert ids(picks.anchor_rows(connection, limit=1)["cat"]) == ["b"]


def test_confused_rows_the_surest_first(connection):
    assert [(given, suggested, n, ids(rows)) for given, suggested, n, rows in picks.confused_rows(connection, pairs=2, limit=5)] == [
        ("dog", "cat", 2, ["e", "b"])
    ]


def test_review_rows_by_priority(connection):
    assert ids(picks.review_rows(connection, limit=2)) == ["b", "e"]


def test_copies_leave_out_what_was_forgotten(connection):
    ((evidence, similarity, rows),) = picks.copy_rows(connection, limit=5)
    assert (evidence, similarity, ids(rows)) == ("exact", 1.0, ["a", "d"])
