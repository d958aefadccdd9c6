import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tarfile
import time
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
from tasks.core.settings import DEFAULTS, Settings
from tasks.core.shards import ProcessPool, SerialPool, ShardPool
from tasks.core.tables import Artifact, Sink
from tasks.methods.manifests import image_id, sample_id
from tasks.methods.pictures import square
from tasks.methods.serve import EmbeddedWeb
from tasks.methods.tars import read_images
from tests.tasks.methods.tls_site import HOST, Site, certify

SETTINGS: dict[str, Any] = {
    "allow_hosts": [], "connect": {"demo.test": "embedded"}, "user_agent": "sluice/0", "contact": "https://example.org/bot",
    "proxy": "", "opt_outs": ["robots", "noai", "noimageai"], "concurrency": 32, "per_host_concurrency": 32, "domain_rate": float("inf"),
    "domain_burst": 32.0, "megabytes_per_s": float("inf"), "windows": [], "attempts": 3, "backoff_s": 0.1, "max_pause_s": 10.0,
    "max_host_timeouts": 20, "max_age_days": 1.0, "deadline_s": 10.0,
    "shard_deadline_s": 60.0, "max_redirects": 3, "max_bytes": 200_000, "max_pixels": 1_000_000, "max_side": 48, "quality": 90,
    "bounded_side": "longest", "decoders": ["jpeg", "png", "webp", "gif"], "decoder_memory_mb": 1000, "encoding": "jpg",
    "block_lists": [], "verify_hash": True, "scorer": "",
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


DECODERS = ["jpeg", "png", "webp", "gif", "bmp", "tiff", "avif"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lineage is written to the working directory."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


class Crawl:
    """A crawl's folder in `top`, and what `ingest` makes of it."""

    def __init__(self, top: Path, rows: list[tuple[str, str, str | None]] | None = None, **changes: Any) -> None:
        self.top = top
        web = pa.table({"path": list(PAGES), "bytes": list(PAGES.values())})
        settings = CrawlSettings.model_validate(SETTINGS | changes)
        write_crawl(top / "crawl", manifest(ROWS if rows is None else rows), settings, web=web)
        self.sink = Sink(CONTRACT, top / "records", ["c"], bound_crawl="c")

    def ingest(self, pool: ShardPool | None = None, settings: Settings = DEFAULTS) -> dict[str, Any]:
        return stage.ingest(Artifact(self.top / "crawl"), Artifact(self.top / "images"), self.sink, "c", pool or SerialPool(), settings)

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
    message = r"^20 of the last 20 requests found nobody there \(refused 20\), the limit is 50%: check the network"
    with pytest.raises(CrawlError, match=message):
        crawl.ingest()
    assert not list((tmp_path / "records").glob("*.parquet"))


def test_a_folder_that_is_no_crawl(tmp_path: Path) -> None:
    sink = Sink(CONTRACT, tmp_path, ["c"], bound_crawl="c")
    with pytest.raises(CrawlError, match=r"crawl 'nothing' has no readable settings.yaml: add it with `sluice crawl add`"):
        stage.ingest(Artifact(tmp_path / "nothing"), Artifact(tmp_path), sink, "c", SerialPool())


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


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every address that a socket of this process is connected to."""
    addresses: set[str] = set()
    connect = socket.socket.connect

    class Watched(socket.socket):
        def connect(self, address: Any) -> None:
            addresses.add(address[0])
            connect(self, address)

    monkeypatch.setattr(socket, "socket", Watched)
    return addresses


def test_twelve_faults_end_with_their_own_detail(tmp_path: Path, shared_tools: Path, reached: set[str]) -> None:
    pages = {f"img/{n}.jpg": jpeg(n) for n in range(160)}
    (tmp_path / "packed").mkdir()
    pq.write_table(pa.table({"path": list(pages), "bytes": list(pages.values())}), tmp_path / "packed" / "images.parquet")
    rows: list[tuple[str, str, str | None]] = [(path, "", None) for path in pages] + [("private/img/1.jpg", "", None)]
    changes = {"rows_per_shard": 200, "deadline_s": 5.0, "concurrency": 64, "per_host_concurrency": 64}
    faults: dict[str, str] = {}
    outcomes, stored = [], []
    for rate in ("0.5", "0"):
        with crawl_server(shared_tools, tmp_path / "packed", "--faults", rate, "--seed", "4") as port:
            faults = told(port, "_faults") or faults
            crawl = Crawl(tmp_path / rate, rows, connect={"demo.test": f"127.0.0.1:{port}"}, **changes)
            crawl.ingest()
            assert not [path for path in told(port, "_requests") if path.startswith("/private")]
            stored.append(dict(read_images(tmp_path / rate / "images" / "00000.tar")))
            outcomes.append({row["url"].removeprefix("http://demo.test/"): row for row in crawl.records()})
    assert reached == {"127.0.0.1"}  # nothing went to the link-local address that a redirect names
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


@pytest.mark.slow
def test_tinyweb_with_faults(tmp_path: Path, shared_data: Path, shared_tools: Path, reached: set[str]) -> None:
    n_rows = 4000
    table = pq.read_table(shared_data / "tinyweb" / "manifest.parquet", columns=["url", "alt_text", "concept"]).slice(0, n_rows)
    rows = [(row["url"], row["alt_text"] or "", row["concept"]) for row in table.to_pylist()]
    rows += [(rows[n][0].replace("tinyweb.test/", "tinyweb.test/private/"), "", None) for n in range(20)]
    outcomes: list[dict[str, dict[str, Any]]] = []
    faults: dict[str, str] = {}
    for rate in ("0.05", "0"):
        with crawl_server(shared_tools, shared_data / "tinyweb", "--faults", rate) as port:
            changes = {"rows_per_shard": 500, "max_side": 384, "max_bytes": 20_000_000, "max_pixels": 50_000_000, "decoders": DECODERS}
            crawl = Crawl(
                tmp_path / rate, rows, connect={"tinyweb.test": f"127.0.0.1:{port}"}, deadline_s=20.0, shard_deadline_s=300.0, **changes
            )
            began = time.monotonic()
            crawl.ingest()
            assert time.monotonic() - began < 150
            faults = told(port, "_faults") or faults
            assert not [path for path in told(port, "_requests") if path.startswith("/private")]
            outcomes.append({row["sample_id"]: row for row in crawl.records()})
    assert reached == {"127.0.0.1"}
    with_faults, without = outcomes
    assert len(with_faults) == len(without) == n_rows + 20
    kinds: Counter[str] = Counter()
    for sample, row in with_faults.items():
        path = row["url"].partition("tinyweb.test/")[2]
        expected = EXPECTED.get(faults.get(path, ""))
        if path.startswith("private/"):
            assert row["detail"] == "robots"
        elif expected is not None:
            kinds[faults[path]] += 1
            assert row["detail"] == expected, path
        else:
            assert row == without[sample]
    assert len(kinds) == 9


RUN = """
import sys, yaml
from pathlib import Path
from tasks import ingest as stage
from tasks.contracts.records import CONTRACT
from tasks.core.shards import ProcessPool
from tasks.core.tables import Artifact, Sink
if __name__ == "__main__":
    records = Sink(CONTRACT, Path("records"), ["c"], bound_crawl="c")
    stage.ingest(Artifact(Path("crawl")), Artifact(Path("images")), records, "c", ProcessPool(2))
"""


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path: Path, repo: Path) -> None:
    pages = {f"img/{n}.jpg": jpeg(n) for n in range(600)}
    web = pa.table({"path": list(pages), "bytes": list(pages.values())})
    rows = manifest([(path, path, "cat") for path in pages])
    crawls = []
    for name in ("undisturbed", "disturbed"):
        top = tmp_path / name
        settings = CrawlSettings.model_validate(SETTINGS | {"rows_per_shard": 20, "concurrency": 4, "per_host_concurrency": 4})
        write_crawl(top / "crawl", rows, settings, web=web)
        (top / "run.py").write_text(RUN)
        crawls.append(top)

    def start(top: Path) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": str(repo)}
        return subprocess.Popen([sys.executable, "run.py"], cwd=top, env=environment)

    began = time.monotonic()
    assert start(crawls[0]).wait() == 0
    whole = time.monotonic() - began
    chance = random.Random(0)
    killed = 0
    for _ in range(40):
        process = start(crawls[1])
        try:
            process.wait(chance.uniform(0.3, 1.0) * whole)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        if killed == 10:
            break
        if process.returncode == 0:  # it was done: take some shards away, as a disk would
            for path in chance.sample(sorted((crawls[1] / "records").glob("*.parquet")), 12):
                path.unlink()
    assert killed == 10
    assert start(crawls[1]).wait() == 0
    stored = [
        {f"{kind}/{path.name}": path.read_bytes() for kind in ("images", "records") for path in (top / kind).iterdir()} for top in crawls
    ]
    assert len(stored[0]) == 60
    assert stored[0] == stored[1]


def test_opt_outs_are_the_crawls_choice_and_recorded_per_row(tmp_path: Path, shared_tools: Path) -> None:
    (tmp_path / "packed").mkdir()
    pages = {f"img/{n}.jpg": jpeg(n) for n in range(30)}
    pq.write_table(pa.table({"path": list(pages), "bytes": list(pages.values())}), tmp_path / "packed" / "images.parquet")
    with crawl_server(shared_tools, tmp_path / "packed", "--faults", "1", "--seed", "1") as port:
        paths = [path for path, fault in told(port, "_faults").items() if fault == "noai"]
        rows: list[tuple[str, str, str | None]] = [(paths[0], "", None), ("private/" + paths[0], "", None)]
        found = []
        for opt_outs in (["robots", "noai"], ["robots", "noimageai"], ["robots"], ["noimageai"], []):
            connect = {"demo.test": f"127.0.0.1:{port}"}
            crawl = Crawl(tmp_path / "-".join(["c", *opt_outs]), rows, connect=connect, opt_outs=opt_outs)
            crawl.ingest()
            details = {row["url"].removeprefix("http://demo.test/"): row["detail"] for row in crawl.records()}
            found.append([details[path] for path, _, _ in rows])
    assert found == [["noai", "robots"], ["noimageai", "robots"], [None, "robots"], ["noimageai", "noimageai"], [None, None]]


def test_progress_is_told_to_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_PROGRESS_JSON", str(tmp_path / "p.jsonl"))
    monkeypatch.setenv("SLUICE_PROGRESS_PROMETHEUS", str(tmp_path / "p.prom"))
    Crawl(tmp_path / "1").ingest()
    last = json.loads((tmp_path / "p.jsonl").read_text().splitlines()[-1])
    assert (last["item"], last["images"], last["images_done"], last["images_ok"]) == ("c", 28, 28, 21)
    assert last["errors"]["http_404"] == 1
    assert 'sluice_failures{stage="ingest",item="c",detail="robots"} 1' in (tmp_path / "p.prom").read_text()
    Crawl(tmp_path / "1").ingest()
    again = json.loads((tmp_path / "p.jsonl").read_text().splitlines()[-1])
    assert (again["images_done"], again["images_kept"]) == (28, 28)


def test_fetches_are_noted_outside_the_promise_of_equal_bytes(tmp_path: Path) -> None:
    Crawl(tmp_path).ingest()
    fetches = pa.concat_tables([pq.read_table(file) for file in sorted(Path(".sluice/fetches/c").glob("*.parquet"))]).to_pylist()
    assert len(fetches) == 28
    assert {row["source"] for row in fetches} == {"fetched"}
    good = next(row for row in fetches if row["detail"] is None)
    assert (good["attempts"], good["http_status"]) == (1, 200)
    assert good["seconds"] < 10
    assert all(row["fetched_at"] is not None for row in fetches)


def test_one_worker_that_fails_stops_the_others_after_what_they_have_begun(tmp_path: Path) -> None:
    rows: list[tuple[str, str, str | None]] = [(f"http://closed.test/{n}.jpg", "", None) for n in range(400)]
    crawl = Crawl(tmp_path, rows, connect={"closed.test": "127.0.0.1:9"}, rows_per_shard=5)
    with pytest.raises(CrawlError, match="found nobody there"):
        crawl.ingest(ProcessPool(2))
    assert not list((tmp_path / "images").glob(".*"))
    assert len(list((tmp_path / "records").glob("*.parquet"))) < 80


def test_https_is_http2_if_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certify(tmp_path)))
    site = Site(tmp_path, body=jpeg(1))
    with site.beside():
        rows: list[tuple[str, str, str | None]] = [(f"https://{HOST}/{number}.jpg", "a picture", None) for number in range(10)]
        metrics = Crawl(tmp_path, rows, connect={HOST: site.address}).ingest(settings=Settings(http2=True))
    assert (metrics["rows"], metrics["ok"]) == (10, 10)
    assert {version for version, _, _ in site.asked} == {"2"}
    assert len({port for _, port, _ in site.asked}) == 1
    assert "/robots.txt" in {path for _, _, path in site.asked}
