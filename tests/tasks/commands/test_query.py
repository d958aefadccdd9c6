"""Questions to the catalog: one on the command line, or many in a shell."""

import io
import json
from pathlib import Path

import pytest

from tasks.cli import main
from tests.tasks.test_catalog import build


@pytest.fixture
def built(project: Path) -> Path:
    build()
    return project


def test_one_question_in_three_styles(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = "SELECT reason, n_rows FROM funnel WHERE crawl = 'beta'"
    assert main(["query", question]) == 0
    assert capsys.readouterr().out == "reason       n_rows\n-----------  ------\nunreachable  1\n"
    assert main(["query", question, "--format", "csv"]) == 0
    assert capsys.readouterr().out == "reason,n_rows\nunreachable,1\n"
    assert main(["query", question, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"reason": "unreachable", "n_rows": 1}]


def test_long_answers_are_cut_in_tables_alone(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "SELECT * FROM range(1500)"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 1000 + 1
    assert lines[-1] == "... the first 1000 rows; use LIMIT, or --format csv or json for all"
    assert main(["query", "SELECT * FROM range(1500)", "--format", "csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1501


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("SELECT * FROM nothing", "Catalog Error: Table with name nothing does not exist!"),
        ("COPY samples TO 'x.csv'", "the catalog is read-only: COPY is not allowed, use SELECT"),
        ("SELECT * FROM read_text('/etc/passwd')", 'Permission Error: Cannot access file "/etc/passwd" - file system'),
        ("SELECT '", "Parser Error: "),
        ("", "one statement at a time, got 0"),
    ],
)
def test_a_bad_question_is_one_line(built: Path, capsys: pytest.CaptureFixture[str], question: str, message: str) -> None:
    assert main(["query", question]) == 1
    found = capsys.readouterr().err
    assert found.startswith(f"error: {message}")
    assert found.count("\n") == 1


def test_without_a_catalog_the_error_says_what_to_do(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "SELECT 1"]) == 1
    assert capsys.readouterr().err == "error: no catalog at data/catalog/sluice.duckdb: run `dvc repro catalog` first\n"


def test_the_shell_answers_until_its_end(built: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ".tables\n.columns pairs\nSELECT *\nFROM nothing;\nSELECT count(*) AS n\nFROM samples\n\n.quit\nSELECT 7;\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert main(["query", "--format", "csv"]) == 0
    captured = capsys.readouterr()
    assert 'funnel,"One row per crawl and reason' in captured.out
    assert 'evidence,VARCHAR,"exact (same bytes)' in captured.out
    assert captured.out.endswith("n\n7\n")
    assert captured.err == "error: Catalog Error: Table with name nothing does not exist!\n"
