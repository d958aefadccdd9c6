"""Failed rows, or a whole crawl, are fetched again on demand; each row is recorded once, and nothing else is asked for."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tasks.cli import main
from tasks.commands import again, crawl
from tasks.core.stage import run
from tasks.ingest import ingest
from tests.tasks.changing_web import ChangingWeb, picture

PAGES = {f"/{n}.jpg": picture(n) for n in range(12)}


@pytest.fixture
def web() -> Iterator[ChangingWeb]:
    with ChangingWeb(dict(PAGES)) as web:
        yield web


@pytest.fixture
def tracked(project: Path, monkeypatch: pytest.MonkeyPatch, web: ChangingWeb) -> Path:
    """A project with a crawl `one` of the web's pages, fetched; three of them failed. What DVC is told is only written down."""
    monkeypatch.setenv("SLUICE_POOL", "serial")

    def tell(*words: str) -> None:
        told = project / "told"
        told.write_text((told.read_text() if told.exists() else "") + " ".join(words) + "\n")

    for command in (crawl, again):
        monkeypatch.setattr(command, "dvc", tell)
    params = (
        (project / "params.yaml").read_text().replace("rows_per_shard: 1000", "rows_per_shard: 5").replace("attempts: 2", "attempts: 1")
    )
    (project / "params.yaml").write_text(params)
    web.failing = {"/3.jpg": 503, "/4.jpg": 503, "/9.jpg": 410}
    add("one", web, PAGES)
    run(ingest, "ingest", ["one"])
    web.asked.clear()
    return project


def add(name: str, web: ChangingWeb, paths: dict[str, bytes]) -> None:
    lines = [f"http://web.test{path},picture {path},cat" for path in paths] + ["http://web.test/1.jpg,the same image,cat"]
    Path(f"{name}.csv").write_text("url,alt_text,concept\n" + "\n".join(lines) + "\n")
    assert main(["crawl", "add", name, f"{name}.csv", "--connect", f"web.test={web.address}"]) == 0


def rows_of(table: str, crawl: str) -> list[dict[str, Any]]:
    folder = Path(".sluice/fetches" if table == "fetches" else f"data/{table}") / crawl
    return pa.concat_tables([pq.read_table(file) for file in sorted(folder.glob("*.parquet"))]).to_pylist()


def tars(crawl: str) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path(f"data/images/{crawl}").glob("*.tar")}


def test_retry_fetches_the_failed_rows_alone(tracked: Path, web: ChangingWeb, capsys: pytest.CaptureFixture[str]) -> None:
    before, stored = {row["sample_id"]: row for row in rows_of("records", "one")}, tars("one")
    assert len(before) == 13
    web.failing = {"/4.jpg": 503}
    assert main(["crawl", "retry", "one", "--detail", "http_503,timeout", "--later"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "crawl 'one': 2 rows (2 images) are to be fetched again, into shards of their own",
        "next: `dvc repro` fetches it",
    ]
    run(ingest, "ingest", ["one"])
    assert web.statuses() == {200: 1, 503: 1}
    after = rows_of("records", "one")
    assert len(after) == len({row["sample_id"] for row in after}) == 13
    changed = {row["url"]: (row["shard"], row["detail"]) for row in after if row != before[row["sample_id"]]}
    assert changed == {"http://web.test/3.jpg": ("00003", None), "http://web.test/4.jpg": ("00003", "http_503")}
    assert {name: kept for name, kept in tars("one").items() if name in stored} == stored
    run(ingest, "ingest", ["one"])
    assert not web.asked
    web.failing = {}
    assert main(["crawl", "retry", "one", "--detail", "http_503", "--later"]) == 0
    run(ingest, "ingest", ["one"])
    assert web.statuses() == {200: 1}
    assert [row["detail"] for row in rows_of("records", "one") if row["detail"]] == ["http_410"]
    assert (tracked / "told").read_text().splitlines() == ["add data/crawls/one"] * 3
    assert {row["shard"] for row in rows_of("records", "one")} == {"00000", "00001", "00002", "00003", "00004"}


def test_a_retried_crawl_that_is_lost_comes_back_with_the_same_bytes(tracked: Path, web: ChangingWeb) -> None:
    web.failing = {"/9.jpg": 410}
    assert main(["crawl", "retry", "one", "--detail", "http_503", "--later"]) == 0
    run(ingest, "ingest", ["one"])
    files = [path for kind in ("records", "images") for path in Path(f"data/{kind}/one").iterdir()]
    before = {path: path.read_bytes() for path in files}
    for path in files:
        path.unlink()
    run(ingest, "ingest", ["one"])
    assert {path: path.read_bytes() for path in files} == before


def test_refetch_asks_for_everything_and_takes_an_unchanged_for_an_answer(tracked: Path, web: ChangingWeb) -> None:
    before, stored = rows_of("records", "one"), tars("one")
    web.failing = {}
    web.pages["/0.jpg"] = picture(100)
    assert main(["crawl", "refetch", "one", "--later"]) == 0
    run(ingest, "ingest", ["one"])
    assert web.statuses() == {304: 8, 200: 4}  # one has changed, three were not there
    after = {row["sample_id"]: row for row in rows_of("records", "one")}
    assert {row["url"][-6:] for row in before if after[row["sample_id"]] != row} == {"/0.jpg", "/3.jpg", "/4.jpg", "/9.jpg"}
    assert {row["source"] for row in rows_of("fetches", "one")} == {"fetched", "unchanged"}
    assert set(tars("one")) == set(stored)


def test_the_command_lets_dvc_fetch(
    tracked: Path, web: ChangingWeb, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def call(command: list[str], **options: Any) -> Any:
        calls.append(command[1:])
        return subprocess.CompletedProcess(command, returncode=len(calls) - 1)

    monkeypatch.setattr(again.subprocess, "run", call)
    assert main(["crawl", "retry", "one", "--detail", "http_410"]) == 0
    assert main(["crawl", "refetch", "one"]) == 1
    assert calls == [["-m", "dvc", "repro", "--single-item", "ingest@one"]] * 2
    assert "error: `dvc repro --single-item ingest@one` failed: run it again to resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["retry", "one", "--detail", "timeout"], "no row of crawl 'one' failed with timeout (failures: http_503 2, http_410 1)"),
        (["retry", "one", "--detail", "slow"], "--detail: unknown detail 'slow' (known: http_NNN, dns, "),
        (["retry", "one", "--detail", ","], "--detail names no failure: say which, such as timeout,http_503"),
        (["retry", "two", "--detail", "dns"], "there is no crawl 'two' (crawls: demo-1, demo-2, one)"),
        (["refetch", "demo-1"], "crawl 'demo-1' is a demo: its folder is made by `generate`, and its web is always the same"),
        (["refetch", "../x"], "crawl name"),
    ],
)
def test_refusals(tracked: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["crawl", *words]) == 1
    assert message in capsys.readouterr().err


def test_an_unreadable_count_of_refetches_is_named(tracked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/crawls/one/refetched.yaml").write_text(yaml.safe_dump({"times": "often"}))
    assert main(["crawl", "refetch", "one", "--later"]) == 1
    assert "refetched.yaml does not say how many `times`" in capsys.readouterr().err
