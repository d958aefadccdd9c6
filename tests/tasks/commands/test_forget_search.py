"""What is to be forgotten is found by id, url, host and hash; what shares its bytes goes with it."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from tasks.commands.forget_search import Request, chosen_records, found_wanted, tars_of
from tasks.contracts.records import CONTRACT as RECORDS
from tasks.core.errors import SluiceError
from tasks.methods.manifests import image_id
from tasks.methods.tars import Entry, write_images
from tests.tasks.conftest import make_record, write_table

RECORDED = [make_record(number, crawl="demo-1") for number in range(4)]
RECORDED[3] |= {"sha256": RECORDED[1]["sha256"]}
RECORDED[2] |= {"url": "https://img.other.test/2.jpg"}


@pytest.fixture
def ingested(project: Path) -> Path:
    write_table(RECORDS, Path("data/records"), RECORDED)
    entries = [Entry(row["key"], "jpg", row["key"].encode(), "", {}) for row in RECORDED]
    tar = Path("data/images/demo-1/00000.tar")
    tar.parent.mkdir(parents=True)
    write_images(tar, entries)
    return project


def request(*names: str, **more: Any) -> Request:
    nothing = {"host": [], "sha256": [], "similar_to": None, "min_similarity": None}
    return Request.of(Namespace(**(nothing | {"names": list(names)} | more)))


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        (request(RECORDED[0]["url"]), {0}),
        (request(RECORDED[0]["sample_id"][:12].upper()), {0}),
        (request(RECORDED[1]["image_id"]), {1, 3}),
        (request(sha256=[RECORDED[1]["sha256"].upper()]), {1, 3}),
        (request(host=["Other.Test."]), {2}),
        (request(host=["demo.test"]), {0, 1, 3}),
        (request("http://nobody.test/has.jpg"), set()),
    ],
)
def test_records_by_every_way_in(ingested: Path, asked: Request, numbers: set[int]) -> None:
    assert set(chosen_records(asked)["url"].to_pylist()) == {RECORDED[number]["url"] for number in numbers}


def test_all_that_has_to_go_is_named(ingested: Path) -> None:
    asked = request(RECORDED[1]["url"], "http://nobody.test/has.jpg")
    wanted = found_wanted(asked, chosen_records(asked))
    assert wanted.samples == {RECORDED[1]["sample_id"], RECORDED[3]["sample_id"]}
    assert wanted.urls == {RECORDED[1]["url"], RECORDED[3]["url"], "http://nobody.test/has.jpg"}
    assert wanted.images >= {RECORDED[1]["image_id"], RECORDED[3]["image_id"], image_id("http://nobody.test/has.jpg")}
    assert len(wanted.digests) == 3  # one download, two pictures as stored
    assert tars_of(wanted) == {Path("data/images/demo-1/00000.tar"): {RECORDED[1]["key"], RECORDED[3]["key"]}}


def test_nothing_by_that_name(ingested: Path) -> None:
    with pytest.raises(SluiceError, match=r"^no sample has the url or id 'x\\x1b': nothing was forgotten$"):
        chosen_records(request("x\x1b"))


def test_before_the_first_crawl(project: Path) -> None:
    with pytest.raises(SluiceError, match=r"^no crawl has been ingested yet"):
        chosen_records(request("http://a.test/1"))
