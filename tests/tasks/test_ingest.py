import json
import re
import subprocess
import sys
import tarfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks import ingest as stage
from tasks.contracts.records import CONTRACT
from tasks.core.crawls import CrawlSettings, write_crawl
from tasks.core.errors import CrawlError
from tasks.core.forgotten import Forgotten, write_forgotten
from tasks.core.shards import ProcessPool, SerialPool, ShardPool
from tasks.core.tables import Artifact, Shard, Sink
from tasks.methods.manifests import image_id, sample_id
from tasks.methods.pictures import square
from tasks.methods.serve import EmbeddedWeb
from tasks.methods.tars import read_images

SETTINGS: dict[str, Any] = {
    "allow_hosts": [], "connect": {"demo.test": "embedded"}, "user_agent": "sluice/0", "contact": "https://example.org/bot",
    "respect_robots": True, "respect_noai": True, "concurrency": 32, "per_host_concurrency": 32, "attempts": 3, "deadline_s": 10.0,
    "shard_deadline_s": 60.0, "max_redirects": 3, "max_bytes": 200_000, "max_pixels": 1_000_000, "max_side": 48, "quality": 90,
    "rows_per_shard": 7, "breaker_requests": 20, "breaker_share": 0.5,
}  # fmt: skip


def jpeg(number: int, width: int = 32, height: int = 24) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def manifest(rows: list[tuple[str, str, str | None]]) -> pa.Table:
    """Rows of (path or url, alt_text, concept), with their ids."""
    records = []
    for place, text, concept in rows:
        url = place if "://" in place else f"http://demo.test/{place}"
        ids = {"sample_id": sample_id(url, text, concept), "image_id": image_id(url)}
        records.append({**ids, "url": url, "alt_text": text, "concept": concept, "page_url": None, "extra": '{"lang": "en"}'})
    return pa.Table.from_pylist(records)


PAGES = {f"img/{number}.jpg": jpeg(number) for number in range(20)}
PAGES |= {"img/large.jpg": jpeg(90, 96, 48), "img/html.jpg": b"<html></html>", "img/half.jpg": jpeg(91)[:300], "private/1.jpg": jpeg(92)}
ROWS: list[tuple[str, str, str | None]] = [(path, f"picture {path}", "cat") for path in PAGES]
ROWS += [("img/3.jpg", "the same image again", "cat"), ("img/3.jpg", "the same image again", None), ("img/gone.jpg", "", "dog")]
ROWS += [("http://169.254.169.254/latest/", "metadata", "dog"), ("file:///etc/passwd", "a file", "dog"), ("http://demo.test:x/", "", "dog")]


class Crawl:
    """A crawl's folder in `top`, and what `ingest` makes of it."""

    def __init__(self, top: Path, rows: list[tuple[str, str, str | None]] | None = None, **changes: Any) -> None:
        self.top = top
        web = pa.table({"path": list(PAGES), "bytes": list(PAGES.values())})
        settings = CrawlSettings.model_validate(SETTINGS | changes)
        write_crawl(top / "crawl", manifest(ROWS if rows is None else rows), settings, web=web)
        self.sink = Sink(CONTRACT, top / "records", ["c"], bound_crawl="c")

    def ingest(self, pool: ShardPool | None = None) -> dict[str, Any]:
        return stage.ingest(Artifact(self.top / "crawl"), Artifact(self.top / "images"), self.sink, "c", pool or SerialPool())

    def records(self) -> list[dict[str, Any]]:
        files = sorted((self.top / "records").glob("*.parquet"))
        return pa.concat_tables([pq.read_table(file) for file in files]).to_pylist()

    def bytes(self) -> dict[str, bytes]:
        return {
            f"{path.parent.name}/{path.name}": path.read_bytes() for name in ("images", "records") for path in (self.top / name).iterdir()
        }


def test_every_row_has_a_record_and_every_good_image_is_stored_once(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path)
    metrics = crawl.ingest()
    records = crawl.records()
    assert Counter(row["detail"] for row in records) == {
        None: 23, "not_an_image": 1, "truncated": 1, "robots": 1, "http_404": 1,
        "blocked_address": 1, "blocked_scheme": 1, "invalid_url": 1,
    }  # fmt: skip
    assert len({row["sample_id"] for row in records}) == len(ROWS)
    assert metrics["rows"] == len(ROWS) == 30
    assert (metrics["images"], metrics["ok"]) == (28, 23)
    assert metrics["details"] == dict(sorted(Counter(row["detail"] for row in records if row["detail"]).items()))
    assert metrics["bytes"] == sum(len(body) for path, body in PAGES.items() if path != "private/1.jpg")
    images = {key: data for tar in sorted((tmp_path / "images").glob("*.tar")) for key, data in read_images(tar)}
    good = [row for row in records if row["status"] == "ok"]
    assert set(images) == {row["key"] for row in good}
    assert len(images) == 21
    small = next(row for row in good if row["url"].endswith("/7.jpg"))
    assert images[small["key"]] == PAGES["img/7.jpg"]
    large = next(row for row in good if row["url"].endswith("large.jpg"))
    assert (large["width"], large["height"], large["original_width"], large["original_height"]) == (48, 24, 96, 48)
    assert square(images[large["key"]], 24).shape == (24, 24, 3)


def test_shards_hold_whole_images_and_img2datasets_members(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path)
    crawl.ingest()
    shards: dict[str, set[str]] = {}
    for row in crawl.records():
        shards.setdefault(row["image_id"], set()).add(row["shard"])
        assert row["key"].startswith(row["shard"])
        assert len(row["key"]) == 9
    assert all(len(found) == 1 for found in shards.values())
    assert [path.name for path in sorted((tmp_path / "images").iterdir())] == [f"{n:05d}.tar" for n in range(4)]
    with tarfile.open(tmp_path / "images" / "00000.tar") as tar:
        names = tar.getnames()
        assert [name.partition(".")[2] for name in names[:3]] == ["jpg", "txt", "json"]
        fields = json.loads(tar.extractfile(names[2]).read())  # type: ignore[union-attr]
    assert fields["key"] == names[0].partition(".")[0]
    assert fields.keys() >= {"url", "caption", "status", "error_message", "width", "height", "original_width", "original_height", "sha256"}


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = Crawl(tmp_path / "one"), Crawl(tmp_path / "two")
    assert one.ingest() == two.ingest(ProcessPool(2))
    assert one.bytes() == two.bytes()


@contextmanager
def watched_web(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EmbeddedWeb]]:
    webs: list[EmbeddedWeb] = []

    class Watched(EmbeddedWeb):
        def __enter__(self) -> "Watched":
            webs.append(self)
            return super().__enter__()

    monkeypatch.setattr("tasks.methods.serve.EmbeddedWeb", Watched)
    stage.known_robots.cache_clear()
    yield webs


def test_a_finished_shard_asks_the_web_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crawl = Crawl(tmp_path)
    with watched_web(monkeypatch) as webs:
        first = crawl.ingest()
        before = crawl.bytes()
        assert crawl.ingest() == first
        assert not webs[1].requests
        (tmp_path / "images" / "00001.tar").unlink()  # killed before the record: the tar is not there yet
        (tmp_path / "records" / "00002.parquet").unlink()  # killed between tar and record
        (tmp_path / "images" / ".00003.tar.1.tmp").write_bytes(b"half")
        (tmp_path / "images" / "00009.tar").write_bytes(b"of an earlier manifest")
        assert crawl.ingest() == first
        asked = {path for path in webs[2].requests if path != "/robots.txt"}
    assert crawl.bytes() == before
    redone = {row["url"].removeprefix("http://demo.test") for row in crawl.records() if row["shard"] in ("00001", "00002")}
    assert asked <= redone
    assert asked


def test_other_settings_are_another_recipe(tmp_path: Path) -> None:
    Crawl(tmp_path).ingest()
    crawl = Crawl(tmp_path, max_side=24)
    crawl.ingest()
    assert max(row["width"] or 0 for row in crawl.records()) == 24


def test_a_dead_line_stops_the_stage(tmp_path: Path) -> None:
    rows: list[tuple[str, str, str | None]] = [(f"http://closed.test/{n}.jpg", "", None) for n in range(40)]
    crawl = Crawl(tmp_path, rows, connect={"closed.test": "127.0.0.1:9"}, rows_per_shard=40)
    with pytest.raises(
        CrawlError, match=r"^20 of the first 20 requests of a shard failed \(refused 20\), the limit is 50%: check the network"
    ):
        crawl.ingest()
    assert not list((tmp_path / "records").glob("*.parquet"))


def test_a_folder_that_is_no_crawl(tmp_path: Path) -> None:
    sink = Sink(CONTRACT, tmp_path, ["c"], bound_crawl="c")
    with pytest.raises(CrawlError, match=r"crawl 'nothing' has no readable settings.yaml: add it with `sluice crawl add`"):
        stage.ingest(Artifact(tmp_path / "nothing"), Artifact(tmp_path), sink, "c", SerialPool())


def test_rows_are_cut_and_read_across_row_groups(tmp_path: Path) -> None:
    ids = [f"{n // 3:03d}" for n in range(50)]
    portions = stage.cut(pa.chunked_array([ids[:20], ids[20:]]), "c", 4)
    assert [(portion.start, portion.stop) for portion in portions] == [(0, 12), (12, 24), (24, 36), (36, 48), (48, 50)]
    assert portions[1].shard == Shard("c", "00001")
    pq.write_table(pa.table({"image_id": ids}), tmp_path / "m.parquet", row_group_size=7)
    for portion in portions:
        assert stage.read_rows(tmp_path / "m.parquet", portion)["image_id"].to_pylist() == ids[portion.start : portion.stop]


EXPECTED = {
    "404": "http_404", "410": "http_410", "429": None, "503": None, "drop": None, "half": "truncated", "loop": "redirect_loop",
    "ssrf": "blocked_address", "huge": "too_large", "bomb": "too_many_pixels", "trickle": "timeout", "noai": "noai",
}  # fmt: skip


@contextmanager
def crawl_server(tools: Path, packed: Path, *options: str) -> Iterator[int]:
    command = [sys.executable, str(tools / "crawl_server.py"), str(packed), "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            yield int(re.search(r":(\d+)/", server.stderr.readline())[1])  # type: ignore[index]
        finally:
            server.terminate()


def told(port: int, page: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}") as answer:
        return json.load(answer)


def test_twelve_faults_end_with_their_own_detail(tmp_path: Path, shared_tools: Path) -> None:
    pages = {f"img/{n}.jpg": jpeg(n) for n in range(160)}
    (tmp_path / "packed").mkdir()
    pq.write_table(pa.table({"path": list(pages), "bytes": list(pages.values())}), tmp_path / "packed" / "images.parquet")
    rows: list[tuple[str, str, str | None]] = [(path, "", None) for path in pages] + [("private/img/1.jpg", "", None)]
    changes = {"rows_per_shard": 200, "deadline_s": 5.0, "concurrency": 64, "per_host_concurrency": 64}
    faults: dict[str, str] = {}
    outcomes, stored = [], []
    for rate in ("0.5", "0"):
        stage.known_robots.cache_clear()
        with crawl_server(shared_tools, tmp_path / "packed", "--faults", rate, "--seed", "4") as port:
            faults = told(port, "_faults") or faults
            crawl = Crawl(tmp_path / rate, rows, connect={"demo.test": f"127.0.0.1:{port}"}, **changes)
            crawl.ingest()
            assert not [path for path in told(port, "_requests") if path.startswith("/private")]
            stored.append(dict(read_images(tmp_path / rate / "images" / "00000.tar")))
            outcomes.append({row["url"].removeprefix("http://demo.test/"): row for row in crawl.records()})
    with_faults, without = outcomes
    assert set(faults.values()) == set(EXPECTED)
    assert {path: with_faults[path]["detail"] for path in faults} == {path: EXPECTED[fault] for path, fault in faults.items()}
    assert with_faults["private/img/1.jpg"]["detail"] == "robots"
    good = [path for path, row in with_faults.items() if row["detail"] is None]
    assert len(good) > 80
    assert all(with_faults[path] == without[path] for path in good)
    assert all(data == stored[1][key] for key, data in stored[0].items())


def test_what_is_forgotten_is_neither_fetched_nor_kept(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path)
    hidden, bytes_of = image_id("http://demo.test/img/3.jpg"), sha256(PAGES["img/5.jpg"]).hexdigest()
    write_forgotten(tmp_path, Forgotten(images=frozenset({hidden}), digests=frozenset({bytes_of})))
    crawl.ingest()
    rows = [row for row in crawl.records() if row["detail"] == "forgotten"]
    assert Counter(row["url"] for row in rows) == {"": 3, "http://demo.test/img/5.jpg": 1}
    assert all(row["status"] == "failed" and row["sha256"] is None and row["thumbnail"] is None for row in rows)
    stored = [data for tar in (tmp_path / "images").glob("*.tar") for _, data in read_images(tar)]
    assert len(stored) == 19
    assert not {PAGES["img/3.jpg"], PAGES["img/5.jpg"]} & set(stored)


def test_forgetting_one_image_asks_for_its_shard_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crawl = Crawl(tmp_path)
    crawl.ingest()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "records").glob("*.parquet")}
    shard = next(row["shard"] for row in crawl.records() if row["url"].endswith("img/3.jpg"))
    write_forgotten(tmp_path, Forgotten(images=frozenset({image_id("http://demo.test/img/3.jpg")})))
    crawl.ingest()
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "records").glob("*.parquet")}
    assert {name for name in before if before[name] != after[name]} == {f"{shard}.parquet"}
