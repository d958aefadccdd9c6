"""Images that an earlier crawl has stored are linked, or asked for with the version that is there."""

from pathlib import Path

import pytest

from tasks.core.stage import run
from tasks.ingest import ingest
from tests.tasks.changing_web import ChangingWeb, picture
from tests.tasks.commands.test_again import PAGES, add, rows_of, tars, tracked, web

__all__ = ["tracked", "web"]
MORE = PAGES | {"/50.jpg": picture(50), "/51.jpg": picture(51)}
CONTENT = ("sha256", "bytes", "format", "width", "height", "original_width", "original_height", "phash", "phash_mirrored", "thumbnail")


def contents(crawl: str) -> dict[str, tuple]:
    return {row["url"]: tuple(row[name] for name in CONTENT) for row in rows_of("records", crawl) if row["status"] == "ok"}


def set_age(days: float) -> None:
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("max_age_days: 30.0", f"max_age_days: {days}"))


def test_young_images_are_linked(tracked: Path, web: ChangingWeb) -> None:
    web.pages.update(MORE)
    web.failing = {}
    add("two", web, MORE)
    run(ingest, "ingest", ["two"])
    assert web.statuses() == {200: 5}  # two new ones, three that had failed
    one, two = contents("one"), contents("two")
    assert len(two) == 14
    assert {url: two[url] for url in one} == one
    sources = [row["source"] for row in rows_of("fetches", "two")]
    assert (sources.count("linked"), sources.count("fetched")) == (9, 5)
    linked = {row["image_id"]: row["fetched_at"] for row in rows_of("fetches", "two") if row["source"] == "linked"}
    original = {row["image_id"]: row["fetched_at"] for row in rows_of("fetches", "one")}
    assert linked == {image: original[image] for image in linked}


def test_a_linked_crawl_has_the_bytes_of_a_fetched_one(tracked: Path, web: ChangingWeb) -> None:
    web.failing = {}
    add("linked", web, PAGES)
    set_age(0.0)
    add("asked", web, PAGES)
    for path in Path(".sluice/fetches/one").iterdir():
        path.unlink()
    add("fetched", web, PAGES)  # nobody knows when `one` was fetched
    stored = []
    for name, statuses in (("linked", {200: 3}), ("asked", {200: 3, 304: 9}), ("fetched", {200: 12})):
        run(ingest, "ingest", [name])
        assert web.statuses() == statuses
        stored.append({file: data for file, (data, _) in tars(name).items()})
    assert stored[0] == stored[1] == stored[2]
    assert contents("linked") == contents("asked") == contents("fetched")


def test_crawls_that_store_otherwise_share_nothing(tracked: Path, web: ChangingWeb) -> None:
    web.failing = {}
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("max_side: 512", "max_side: 20"))
    add("small", web, PAGES)
    run(ingest, "ingest", ["small"])
    assert web.statuses() == {200: 12}
    assert {row["width"] for row in rows_of("records", "small")} == {20}


@pytest.mark.parametrize("gone", ["images", "records"])
def test_an_earlier_crawl_without_its_data_is_passed_over(tracked: Path, web: ChangingWeb, gone: str) -> None:
    for path in Path(f"data/{gone}/one").iterdir():
        path.unlink()
    add("two", web, PAGES)
    assert not Path("data/crawls/two/known.parquet").exists()
