"""Questions within limits: rows as they are, one sentence for what fails, and an end for what would never end."""

import time
from pathlib import Path

import pytest

from tasks.commands import questions
from tasks.commands.questions import answer
from tasks.methods.explore_app import Refused
from tests.tasks.test_catalog import build, ids


def test_an_answer_has_names_and_rows(project: Path) -> None:
    build()
    names, rows = answer("SELECT sample_id, keep FROM samples WHERE sample_id = $id", {"id": ids(0)[0]})
    assert (names, rows) == (["sample_id", "keep"], [(ids(0)[0], True)])


def test_a_fault_is_one_clean_line(project: Path) -> None:
    build()
    with pytest.raises(Refused, match=r"^Catalog Error: Table with name \\u202enothing does not exist!"):
        answer('SELECT * FROM "\u202enothing"', {})
    with pytest.raises(Refused, match="the catalog is read-only: COPY is not allowed"):
        answer("SELECT 1", {}, asked="COPY samples TO 'x'")


def test_without_a_catalog_it_says_what_to_do(project: Path) -> None:
    with pytest.raises(Refused, match="run `dvc repro catalog` first"):
        answer("SELECT 1", {})


def test_what_never_ends_is_ended(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build()
    monkeypatch.setattr(questions, "SECONDS", 0.2)
    began = time.monotonic()
    with pytest.raises(Refused, match="took more than 0.2 seconds"):
        answer("WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM t) SELECT max(x) FROM t", {})
    assert time.monotonic() - began < 5
