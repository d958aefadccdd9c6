"""The hostile corpus through every door that a terminal or a spreadsheet reads; the pages have it in their own tests."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.contracts.curated import CONTRACT as CURATED
from tasks.contracts.records import CONTRACT as RECORDS
from tests.hostile import DRIVING, TEXTS, URLS
from tests.tasks import test_catalog
from tests.tasks.conftest import make_project, make_record, write_table
from tests.tasks.test_catalog import make_sample
from tests.workspace import environment

ASK = "SELECT alt_text, url, page_url FROM samples WHERE crawl = 'alpha' ORDER BY key"
STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def hostile(number: int) -> dict[str, Any]:
    return {
        "alt_text": TEXTS[number],
        "url": f"{URLS[number % len(URLS)]}#{number}",
        "page_url": TEXTS[-1 - number][:5000],
        "crawl": "alpha",
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Path:
    """A project whose every row means harm."""
    top = make_project(tmp_path_factory.mktemp("hostile") / "project", repo)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        params = Path("params.yaml").read_text().replace("crawls: [demo-1, demo-2]", "crawls: [alpha, beta]")
        Path("params.yaml").write_text(params + "validate: {min_side: 25, max_aspect_ratio: 5.0}\ncurate: {min_text_score: 0.05}\n")
        test_catalog.build()
        rows = [make_sample(number, confidence=0.5, split="train", **hostile(number)) for number in range(len(TEXTS))]
        write_table(CURATED, Path("data/curated"), rows, per_crawl=False)
        test_catalog.rebuild()
        write_table(RECORDS, Path("data/records"), [make_record(number) | hostile(number) for number in range(len(TEXTS))])
    return top


@pytest.fixture
def inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_a_table_has_one_short_line_per_row(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = answer(capsys, "query", ASK)
    lines = out.splitlines()
    assert len(lines) == 2 + len(TEXTS)
    assert max(map(len, lines)) < 260
    assert not DRIVING.search(out)


def test_csv_holds_no_formula_and_no_escape(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = answer(capsys, "query", ASK, "--format", "csv")
    assert not DRIVING.search(out.replace("\t", " "))
    csv.field_size_limit(2_000_000)
    rows = list(csv.reader(io.StringIO(out)))[1:]
    assert len(rows) == len(TEXTS)
    assert not [cell for row in rows for cell in row if cell.lstrip(" ").startswith(STARTS)]
    assert rows[-1][0] == TEXTS[-1]  # a megabyte stays a megabyte: it is data


def test_json_is_whole_and_harmless(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = answer(capsys, "query", ASK, "--format", "json")
    assert not DRIVING.search(out)
    assert [row["alt_text"] for row in json.loads(out)] == list(TEXTS)


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_a_story_shows_and_does_nothing(inside: Path, capsys: pytest.CaptureFixture[str], number: int) -> None:
    out = answer(capsys, "explain", make_record(number)["sample_id"])
    assert not DRIVING.search(out)
    assert max(map(len, out.splitlines())) < 2100


def test_an_error_about_it_is_one_line(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in TEXTS[:-1]:
        assert main(["explain", f"x{text}"]) == 1
        found = capsys.readouterr().err
        assert found.count("\n") == 1
        assert not DRIVING.search(found)


def in_a_terminal(place: Path, *words: str) -> str:
    """What a command writes to a terminal of 100 columns that has no colours."""
    ours, theirs = pty.openpty()
    quiet = environment(Path(__file__).parents[1], TERM="dumb", COLUMNS="100", NO_COLOR="1")
    process = subprocess.Popen([sys.executable, "-m", "tasks.cli", *words], cwd=place, env=quiet, stdout=theirs, stderr=theirs)
    os.close(theirs)
    out = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux: the other side is closed
            break
        if not part:
            break
        out += part
    os.close(ours)
    assert process.wait(timeout=60) == 0, out.decode()
    return out.decode().replace("\r\n", "\n")


def test_a_real_terminal_is_not_driven(place: Path) -> None:
    out = in_a_terminal(place, "query", ASK)
    assert not DRIVING.search(out)
    assert "[bold]markup" in out.replace("\n", "")
    assert len(out) < 400_000
    for number in (16, 18, len(TEXTS) - 1):
        out = in_a_terminal(place, "explain", make_record(number)["sample_id"])
        assert not DRIVING.search(out)
        assert len(out) < 20_000
