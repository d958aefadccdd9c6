"""One sample's story through all tables."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tasks.cli import main
from tasks.contracts.curated import CONTRACT as CURATED
from tasks.contracts.duplicates import CONTRACT as DUPLICATES
from tasks.contracts.matches import CONTRACT as MATCHES
from tasks.contracts.neighbors import CONTRACT as NEIGHBORS
from tasks.contracts.pairs import CONTRACT as PAIRS
from tasks.contracts.records import CONTRACT as RECORDS
from tasks.contracts.scores import CONTRACT as SCORES
from tasks.contracts.validity import CONTRACT as VALIDITY
from tasks.methods.tars import Entry, write_images
from tests.tasks.conftest import make_record, write_table
from tests.tasks.test_catalog import SAMPLES, make_sample

CRAWL = "demo-1"


def record(number: int, **changes: Any) -> dict[str, Any]:
    return make_record(number, crawl=CRAWL) | changes


@pytest.fixture
def ingested(project: Path) -> Path:
    """Three samples, two of which share an image, and one of which is in both crawls."""
    shared = record(0) | {"sample_id": "f" * 32, "alt_text": "another \x1b[31mtext"}
    rows = [record(0), record(1), shared, record(1, crawl="demo-2"), record(2, status="failed", detail="http_404")]
    write_table(RECORDS, Path("data/records"), rows)
    with Path("params.yaml").open("a") as params:
        params.write("validate: {min_side: 25, max_aspect_ratio: 5.0}\ncurate: {min_text_score: 0.05}\n")
    return project


def explain(capsys: pytest.CaptureFixture[str], wanted: str) -> tuple[int, str, str]:
    code = main(["explain", wanted])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_story_before_anything_else_is_made(ingested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = explain(capsys, "http://demo.test/1.jpg")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "Sample"
    assert "  url                     http://demo.test/1.jpg" in lines
    assert "Record in crawl demo-1" in lines
    assert "Record in crawl demo-2" in lines
    assert out.count("not made yet: run `dvc repro`") == 6


def test_a_whole_story(ingested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted, other = record(1)["sample_id"], record(0)["sample_id"]
    write_table(VALIDITY, Path("data/validity"), [{"sample_id": wanted, "crawl": CRAWL, "valid": True, "reasons": []}])
    row = {"sample_id": wanted, "crawl": CRAWL}
    duplicate = {"duplicate_group": other, "near_duplicate_score": 0.25, "is_leak": False, "split": "train", "fold": 3}
    write_table(DUPLICATES, Path("data/duplicates"), [row | duplicate], per_crawl=False)
    pair = {"other_id": other, "evidence": "perceptual", "similarity": 0.987}
    write_table(PAIRS, Path("data/pairs"), [row | pair], per_crawl=False)
    match = {"matched_concept": "dog", "similarity": 0.5, "margin": 0.125, "text_similarity": None, "is_anchor": False}
    match |= {"concepts": ["dog", "cat"], "probabilities": [0.75, 0.25]}
    write_table(MATCHES, Path("data/matches"), [row | match], per_crawl=False)
    score = dict.fromkeys(SCORES.schema.names[2:], 0.5) | {"suggested_concept": "dog", "is_label_issue": True}
    write_table(SCORES, Path("data/scores"), [row | score], per_crawl=False)
    sample = SAMPLES[1] | row | {"keep": False, "reason": "duplicate", "reasons": ["duplicate", "label_noise"], "duplicate_of": other}
    sample |= {"confidence": 0.5, "split": "train"}
    write_table(CURATED, Path("data/curated"), [sample], per_crawl=False)
    graph = [
        {"position": 0, "sample_id": other, "crawl": CRAWL, "neighbors": [1], "similarities": [0.5]},
        {"position": 1, **row, "neighbors": [0], "similarities": [0.5]},
    ]
    write_table(NEIGHBORS, Path("data/neighbors"), graph, per_crawl=False)

    code, out, _ = explain(capsys, wanted[:8].upper())
    assert code == 0
    for line in (
        "  valid                   True",
        "  near_duplicate_score    0.25",
        f"  perceptual copy         {other}  similarity 0.987",
        "  matched_concept         dog",
        "    cat                   0.25",
        "  probe_score             0.5",
        "  reasons                 duplicate, label_noise",
        f"                          duplicate: it is a copy of {other}, which is kept in its place",
        f"  similarity 0.500        {other}  cat  http://demo.test/0.jpg",
    ):
        assert line in out.splitlines()


def test_a_failed_row_says_where_it_stopped(ingested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = record(2)
    verdict = {"sample_id": failed["sample_id"], "crawl": CRAWL, "valid": False, "reasons": ["unreachable"]}
    write_table(VALIDITY, Path("data/validity"), [verdict])
    _, out, _ = explain(capsys, failed["url"])
    assert "  detail                  http_404" in out.splitlines()
    assert "  reasons                 unreachable" in out.splitlines()
    _, out, _ = explain(capsys, record(1)["sample_id"])
    assert "no row: the sample did not get this far" in out


def test_a_name_of_several_samples_lists_them(ingested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = explain(capsys, "http://demo.test/0.jpg")
    assert code == 1
    assert err.startswith("error: 'http://demo.test/0.jpg' stands for 2 samples, give one's id: ")
    assert f"{'f' * 32} (cat, 'another \\\\x1b[31mtext')" in err
    assert err.count("\n") == 1


def test_an_unknown_name_is_an_error(ingested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = explain(capsys, "http://demo.test/\x1b9.jpg")
    assert code == 1
    expected = "no sample has the url or id 'http://demo.test/\\x1b9.jpg': give a url, or 8 or more digits of a sample_id or image_id"
    assert err == f"error: {expected}\n"


def test_before_the_first_crawl(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(capsys, "x") == (1, "", "error: no crawl has been ingested yet: run `dvc repro` first\n")


def test_a_terminal_with_colours_shows_the_picture(
    ingested: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = BytesIO()
    Image.new("RGB", (8, 8), (250, 10, 10)).save(stream, "PNG")
    folder = Path("data/images") / CRAWL
    folder.mkdir(parents=True)
    write_images(folder / "00000.tar", [Entry(record(1)["key"], "png", stream.getvalue(), "", {})])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    _, out, _ = explain(capsys, record(1)["sample_id"])
    assert out.startswith("\x1b[38;2;250;10;10;48;2;250;10;10m\u2580")
    gone = make_sample(1, crawl=CRAWL, reason="forgotten")
    write_table(CURATED, Path("data/curated"), [gone], per_crawl=False)
    _, out, _ = explain(capsys, record(1)["sample_id"])
    assert "\u2580" not in out
