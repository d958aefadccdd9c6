"""The sheet to look through: some of everything, and filters that need no script."""

from typing import Any

import pytest

from tasks.methods.report_browse import boundary_rows, browse_rows, concept_rows, filters
from tests.tasks.methods.report_tables import tables


@pytest.fixture
def connection(tmp_path):
    with tables(tmp_path) as found:
        yield found


def ids(rows: list[dict[str, Any]]) -> set[str]:
    return {row["sample_id"] for row in rows}


def test_every_kind_has_its_turn_before_any_has_two(connection):
    assert ids(browse_rows(connection, limit=5)) == {"a", "c", "d", "e", "f"}
    assert ids(browse_rows(connection, limit=99)) == {"a", "b", "c", "d", "e", "f"}  # none without a picture that may be shown


def test_the_cases_nearest_to_the_threshold(connection):
    connection.execute("CREATE OR REPLACE TABLE shown AS SELECT * REPLACE (ascii(sample_id) / 200 AS confidence) FROM samples")
    connection.execute("CREATE OR REPLACE VIEW samples AS SELECT * FROM shown")
    kept, lost = boundary_rows(connection, threshold=0.49, limit=1)
    assert ids(kept) == {"b"}  # 0.49; `a` lies below, and was kept by hand
    _, lost = boundary_rows(connection, threshold=0.6, limit=5)
    assert ids(lost) == {"f"}  # `e` has a second reason


def test_each_concept_has_its_own(connection):
    found = concept_rows(connection, limit=5)
    assert {state: ids(rows) for state, rows in found["cat"].items()} == {"kept": {"a"}, "dropped": {"f"}}
    assert {state: ids(rows) for state, rows in found["dog"].items()} == {"kept": {"c"}, "moved": {"b"}, "dropped": {"e"}}


def test_filters_are_numbers_of_ours(connection):
    rows = browse_rows(connection, limit=99)
    rows[0]["concept"] = rows[0]["curated_concept"] = "x { } </style>"
    found = filters(rows)
    assert [name for _, name in found["states"]] == ["kept", "duplicate", "label_noise", "out_of_distribution"]
    assert ("c2", "x { } </style>") in found["concepts"]
    assert "x {" not in found["style"]
    assert found["style"].count("display: none") == len(found["states"]) + len(found["concepts"])
    assert rows[0]["marks"] == "s0 c2"
