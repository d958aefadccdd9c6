"""Recipes: each answers, each is in the index, and a name finds its SQL."""

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.commands.recipes import read_recipes, statement_of
from tasks.contracts.reviews import CONTRACT as REVIEWS
from tasks.core.errors import SluiceError
from tests.conftest import REPO
from tests.tasks.conftest import make_record, write_table
from tests.tasks.test_catalog import build
from tests.workspace import environment

RECIPES = read_recipes(REPO / "reports/queries")
MAY_BE_EMPTY = {
    "copies-across-crawls",
    "copies-that-disagree",
    "drift",
    "neighbours-that-disagree",
    "proposals",
    "reviewers",
    "reviews-not-used-yet",
    "what-the-last-crawl-brought",
}  # the toy has one small crawl, and nobody has judged it


@pytest.mark.parametrize("name", [recipe.name for recipe in RECIPES])
def test_the_recipe_answers(name: str, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(finished / "data" / "catalog")
    assert main(["query", f"@{name}", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows or name in MAY_BE_EMPTY


def test_there_are_twenty_five_and_all_are_in_the_index() -> None:
    assert len(RECIPES) >= 25
    index = (REPO / "docs/queries.md").read_text()
    rows = [f"| [`@{recipe.name}`](../reports/queries/{recipe.name}.sql) | {recipe.question} |" for recipe in RECIPES]
    assert [row for row in rows if row not in index] == []
    assert index.count("\n| [`@") == len(RECIPES)
    assert "docs/queries.md" in (REPO / "README.md").read_text()


def test_verdicts_that_the_dataset_does_not_follow_yet(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build()
    first, second, third = (make_record(number) for number in (0, 1, 2))
    said = [
        review(first, "dropped", 1),
        review(first, "confirmed", 2),  # the one in force
        review(second, "dropped", 1),
        review(second, "withdrawn", 2),  # as if nobody had looked
        review(third, "dropped", 3) | {"sha256": "0" * 64},
    ]
    write_table(REVIEWS, Path("data/reviews"), said)
    assert main(["query", statement_of("@reviews-not-used-yet", REPO / "reports/queries"), "--format", "json"]) == 0
    found = {row["sample_id"]: (row["verdict"], row["followed"], row["picture_changed"]) for row in json.loads(capsys.readouterr().out)}
    assert found == {first["sample_id"]: ("confirmed", None, False), third["sample_id"]: ("dropped", None, True)}
    assert main(["query", statement_of("@reviewers", REPO / "reports/queries"), "--format", "json"]) == 0
    rows = {row["verdict"]: (row["n_verdicts"], row["machine_agrees"]) for row in json.loads(capsys.readouterr().out)}
    assert rows == {"dropped": (3, pytest.approx(0.333)), "confirmed": (1, 1.0), "withdrawn": (1, None)}


def review(record: dict[str, Any], verdict: str, day: int) -> dict[str, Any]:
    """What ann said of a sample on a day."""
    concept = "cat" if verdict == "confirmed" else None
    said = {"sample_id": record["sample_id"], "sha256": record["sha256"], "verdict": verdict, "concept": concept}
    return said | {"reviewer": "ann", "reviewed_at": datetime(2026, 1, day)}


def test_from_the_shell_outside_the_workspace(finished: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tasks.cli", "--workspace", str(finished), "query", "--list", "--format", "csv"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment(finished), check=True)
    assert len(done.stdout.splitlines()) == len(RECIPES) + 1
    words = [sys.executable, "-m", "tasks.cli", "query", "@funnel"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment(finished, SLUICE_WORKSPACE=str(finished)))
    assert done.returncode == 0
    assert "kept" in done.stdout
    assert os.listdir(tmp_path) == []


def test_names_and_files_are_checked(tmp_path: Path) -> None:
    (tmp_path / "good.sql").write_text("-- How many?\nSELECT 1\n")
    assert statement_of("@good;", tmp_path) == "-- How many?\nSELECT 1\n"
    assert statement_of("SELECT '@good'", tmp_path) == "SELECT '@good'"
    with pytest.raises(SluiceError, match=r"^no recipe is called 'b\\x1bad': good$"):
        statement_of("@b\x1bad", tmp_path)
    with pytest.raises(SluiceError, match=r"^no recipe is called 'x': there are none in nowhere$"):
        statement_of("@x", Path("nowhere"))
    (tmp_path / "bad.sql").write_text("SELECT 1\n")
    with pytest.raises(SluiceError, match=r"bad.sql doesn't say what it asks"):
        read_recipes(tmp_path)
