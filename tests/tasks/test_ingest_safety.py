"""Block lists, promised hashes and scores, all the way through the stage."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks.core.crawls import CrawlSettings, write_crawl
from tasks.core.errors import CrawlError
from tests.tasks.test_ingest import PAGES, SETTINGS, Crawl, manifest

ROWS: list[tuple[str, str, str | None]] = [(f"img/{number}.jpg", f"picture {number}", "cat") for number in range(4)]
ROWS.append(("http://cdn.bad.test/1.jpg", "on a blocked host", "cat"))


class SafeCrawl(Crawl):
    """The same small crawl with entries of block lists, and hashes that the manifest promises, by place."""

    def __init__(self, top: Path, blocked: list[str], promised: Mapping[str, str], **changes: Any) -> None:
        super().__init__(top)
        rows = manifest(ROWS).to_pylist()
        for row in rows:
            if (sha256 := promised.get(row["alt_text"])) is not None:
                row["extra"] = json.dumps({"sha256": sha256})
        web = pa.table({"path": list(PAGES), "bytes": list(PAGES.values())})
        settings = CrawlSettings.model_validate(SETTINGS | {"verify_hash": True} | changes)
        write_crawl(top / "crawl", pa.Table.from_pylist(rows), settings, web=web, blocked=sorted(blocked))

    def details(self) -> dict[str, str | None]:
        self.ingest()
        return {row["alt_text"]: row["detail"] for row in self.records()}


def sha256_of(number: int) -> str:
    return hashlib.sha256(PAGES[f"img/{number}.jpg"]).hexdigest()


def test_blocked_and_changed_images_are_left_out(tmp_path: Path) -> None:
    promised = {"picture 1": sha256_of(1), "picture 2": sha256_of(1)}
    crawl = SafeCrawl(tmp_path, ["bad.test", sha256_of(0)], promised)
    assert crawl.details() == {
        "picture 0": "blocked_hash", "picture 1": None, "picture 2": "changed", "picture 3": None, "on a blocked host": "blocked_domain",
    }  # fmt: skip
    assert all(row["safety"] is None for row in crawl.records())
    assert SafeCrawl(tmp_path / "trusting", [], promised, verify_hash=False).details()["picture 2"] is None


def shade(data: bytes, row: Mapping[str, Any]) -> dict[str, float]:
    return {"harmless": 0.5 if row["alt_text"] == "picture 3" else 1.0}


def wrong(data: bytes, row: Mapping[str, Any]) -> dict[str, float]:
    return {"harmless": 2.0}


def test_scores_of_a_plug_in_stand_in_the_records(tmp_path: Path) -> None:
    crawl = SafeCrawl(tmp_path, [], {}, scorer=f"{__name__}:shade")
    crawl.ingest()
    scores = {row["alt_text"]: row["safety"] for row in crawl.records()}
    assert scores["picture 3"] == '{"harmless": 0.5}'
    assert scores["picture 0"] == '{"harmless": 1.0}'
    assert scores["on a blocked host"] is None


def test_a_plug_in_that_is_wrong_stops_the_stage(tmp_path: Path) -> None:
    with pytest.raises(CrawlError, match="scorer 'gone:f' can't be loaded"):
        SafeCrawl(tmp_path / "gone", [], {}, scorer="gone:f").ingest()
    with pytest.raises(CrawlError, match="the scorer gives 'harmless' 2.0 for http://demo.test/img/"):
        SafeCrawl(tmp_path / "wrong", [], {}, scorer=f"{__name__}:wrong").ingest()
