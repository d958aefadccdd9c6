"""The explorer in a real browser: pictures load, search and SQL answer, keys judge, and the next run follows the verdict."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.methods.tars import read_images
from tests.browser import CHROMIUM, open_tab
from tests.conftest import REPO
from tests.workspace import environment, repro

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")
BROKEN = "[...document.images].filter(picture => !picture.complete || !picture.naturalWidth).length"
LOADED = f"document.images.length > 0 && {BROKEN} === 0"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The link of an explorer that runs there."""
    command = [sys.executable, "-m", "tasks.cli", "explore", "--reviewer", "ada"]
    process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert errors == "", errors[-3000:]


def reviews(folder: Path) -> list[dict]:
    files = sorted((folder / "data/reviews").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def samples(folder: Path) -> dict[str, dict]:
    return {row["sample_id"]: row for row in pq.read_table(folder / "data/curated/samples").to_pylist()}


async def look_around(link: str, picture: Path, shots: Path) -> dict:
    origin = link[: link.index("/", 8)]
    async with open_tab() as tab:
        await tab.go(link)
        found = {"address": await tab.find("location.href")}
        await tab.find("[...document.images].forEach(picture => { picture.loading = 'eager'; }) || true")
        await tab.find(LOADED)
        found["sheet"] = await tab.find("document.images.length")
        await tab.find("document.querySelector('#q').value = 'a cat', document.querySelector('[role=search]').submit(), true")
        await tab.find("document.querySelector('h2').textContent === 'What fits best'")
        await tab.shoot(shots / "search.png")
        found["similar"] = await tab.find("document.images.length")
        await tab.choose_file("#picture", picture)
        await tab.find("document.querySelector('#picture').form.submit() || true")
        await tab.find("document.querySelector('h2').textContent === 'What is most like your picture'")
        found["like"] = await tab.find("document.querySelector('.shot a').getAttribute('href')")
        await tab.go(f"{origin}{found['like']}")
        await tab.shoot(shots / "sample.png", 1200)
        found["story"] = await tab.find("[...document.querySelectorAll('h2')].map(title => title.textContent)")
        await tab.go(f"{origin}/sql?sql=SELECT%20reason%2C%20count(*)%20AS%20n%20FROM%20samples%20GROUP%20BY%20ALL")
        found["rows"] = await tab.find("document.querySelectorAll('tbody tr').length")
        found["barriers"] = []
        for path in ("/", found["like"], "/review", "/sql?sql=FROM%20funnel"):
            await tab.go(f"{origin}{path}")
            found["barriers"] += await tab.barriers()
        found["complaints"] = tab.seen().complaints
        found["foreign"] = [request for request in tab.seen().requests if not request.startswith(origin)]
    return found


async def judge(link: str, shots: Path) -> dict:
    """Confirm the first of the queue, drop the second, skip the third, correct the fourth, and take that back."""
    origin = link[: link.index("/", 8)]
    form = "document.querySelector('.verdicts')"
    subject = f"document.readyState === 'complete' && {form} && new URL({form}.action).pathname.split('/')[2]"
    async with open_tab() as tab:
        await tab.go(link)
        await tab.go(f"{origin}/review")
        await tab.shoot(shots / "review.png", 1000)
        seen = [await tab.find(subject)]
        for key in ("c", "d", "s", "1"):
            await tab.press(key)
            await tab.find(f"({subject}) !== '{seen[-1]}'")
            seen.append(await tab.find(subject))
        await tab.press("u")
        await tab.find(f"({subject}) === '{seen[3]}'")
        return {"seen": seen, "complaints": tab.seen().complaints}


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shots")


def test_a_person_finds_their_way(finished, shots, tmp_path):
    picture = tmp_path / "mine.png"
    stored = next(row for row in samples(finished).values() if row["keep"])
    tar = finished / "data/images" / stored["crawl"] / f"{stored['shard']}.tar"
    picture.write_bytes(dict(read_images(tar, [stored["key"]]))[stored["key"]])
    with serving(finished) as link:
        found = asyncio.run(look_around(link, picture, shots))
    assert "token" not in found["address"]
    assert found["sheet"] == found["similar"] == 60
    assert found["like"] == f"/sample/{stored['sample_id']}"
    assert {"What would change it", "Scores", "Decision", "Its nearest neighbours"} <= set(found["story"])
    assert found["rows"] > 3
    assert found["complaints"] == found["foreign"] == found["barriers"] == []


@pytest.fixture
def unjudged(finished: Path) -> Iterator[Path]:
    """The toy workspace, which is as it was when the test is over: other tests build on in it."""
    yield finished
    for file in (finished / "data/reviews").glob("*.parquet"):
        file.unlink()
    repro(finished, "curate")


def test_a_verdict_by_key_is_saved_and_the_next_run_follows_it(unjudged, shots):
    finished = unjudged
    before = samples(finished)
    with serving(finished) as link:
        found = asyncio.run(judge(link, shots))
    assert found["complaints"] == []
    first, second, third, fourth = found["seen"][:4]
    said = [(row["sample_id"], row["verdict"], row["reviewer"]) for row in reviews(finished)]
    expected = [(first, "confirmed", "ada"), (second, "dropped", "ada"), (fourth, "corrected", "ada"), (fourth, "withdrawn", "ada")]
    assert said == expected
    output = repro(finished, "curate").stdout
    assert "Running stage 'curate'" in output
    assert "Running stage 'score'" in output
    assert "Running stage 'embed" not in output
    after = samples(finished)
    assert (after[first]["reviewed"], after[first]["keep"], after[first]["curated_concept"]) == (
        "confirmed",
        True,
        before[first]["concept"],
    )
    assert (after[second]["reviewed"], after[second]["keep"]) == ("dropped", False)
    assert "rejected" in after[second]["reasons"]
    assert after[third]["reviewed"] is after[fourth]["reviewed"] is None


@pytest.mark.slow
def test_screenshots_of_the_demo_for_the_docs(tmp_path):
    if not (REPO / "data/catalog/sluice.duckdb").is_file():
        pytest.skip("no data/catalog/sluice.duckdb: run `dvc repro` first")
    with serving(REPO) as link:
        asyncio.run(photograph(link, REPO / "docs"))
    for name in ("explore-search.png", "explore-review.png", "explore-sample.png"):
        assert (REPO / "docs" / name).stat().st_size > 20_000


async def photograph(link: str, folder: Path) -> None:
    """Three pages as the docs show them; nothing is judged."""
    origin = link[: link.index("/", 8)]
    async with open_tab() as tab:
        await tab.go(link)
        await tab.go(f"{origin}/?q=a%20cat&by=picture&state=all&concept=")
        await tab.shoot(folder / "explore-search.png")
        await tab.go(f"{origin}/review")
        await tab.shoot(folder / "explore-review.png")
        await tab.find("document.querySelector('[data-key=m]').click() || true")
        await tab.find("document.querySelector('h1').textContent.startsWith('Sample')")
        await tab.shoot(folder / "explore-sample.png", 1200)
