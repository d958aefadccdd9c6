"""The query by hand: one row of every kind of change."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.methods.sql import connect
from tasks.methods.version_diff import CHANGES, figures_side_by_side

NAMES = ("sample_id", "crawl", "concept", "keep", "reason", "curated_concept")
OLD = [
    ("same", "a", "cat", True, None, "cat"),
    ("left", "a", "cat", True, None, "cat"),
    ("kept", "a", "cat", False, "label_noise", None),
    ("dropped", "a", "dog", True, None, "dog"),
    ("moved", "a", "dog", True, None, "dog"),
    ("other", "a", None, False, "duplicate", None),
]
NEW = [
    ("same", "a", "cat", True, None, "cat"),
    ("kept", "a", "cat", True, None, "cat"),
    ("dropped", "a", "dog", False, "duplicate", None),
    ("moved", "a", "dog", True, None, "cat"),
    ("other", "a", None, False, "leak", None),
    *((f"came-{number}", "b", "dog", True, None, "dog") for number in range(5)),
]


@pytest.fixture
def changes(tmp_path):
    def changes(old, new, n_examples=3):
        files = {}
        for name, rows in (("before", old), ("after", new)):
            files[name] = [str(tmp_path / f"{name}.parquet")]
            types = [pa.string()] * 3 + [pa.bool_()] + [pa.string()] * 2
            columns = [pa.array([row[place] for row in rows], kind) for place, kind in enumerate(types)]
            pq.write_table(pa.table(columns, names=NAMES), files[name][0])
        with connect() as connection:
            return connection.execute(CHANGES, {**files, "n_examples": n_examples}).fetchall()

    return changes


def test_every_kind_of_change(changes):
    assert changes(OLD, NEW) == [
        ("came", "dog", None, "kept", 5, ["came-0", "came-1", "came-2"]),
        ("left", "cat", "kept", None, 1, ["left"]),
        ("kept now", "cat", "label_noise", "kept", 1, ["kept"]),
        ("dropped now", "dog", "kept", "duplicate", 1, ["dropped"]),
        ("moved", "dog", "dog", "cat", 1, ["moved"]),
        ("other reason", None, "duplicate", "leak", 1, ["other"]),
    ]


def test_a_version_and_itself_do_not_differ(changes):
    assert changes(OLD, OLD) == []


def test_there_and_back_count_the_same_rows(changes):
    there, back = changes(OLD, NEW, 0), changes(NEW, OLD, 0)
    assert sum(row[4] for row in there) == sum(row[4] for row in back) == 10
    assert there[0][5] == []


def test_figures_that_differ_stand_side_by_side():
    assert figures_side_by_side({"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 1.0, "b": 4.0, "d": 5.0}) == [
        ("b", 2.0, 4.0),
        ("c", 3.0, None),
        ("d", None, 5.0),
    ]
