"""Fixtures for stages and commands: rows of records by hand, and a small project folder to run in."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from tasks.core.tables import Contract, Shard, Sink

PARAMS = """\
# What is in the dataset, in order of arrival.
crawls: [demo-1, demo-2]
demos: [demo-1, demo-2]
arms: [raw, curated]
seeds: [0, 1]

clean: data/clean
shared:
  seed: 0            # every random choice derives from it

prepare_encoder:
  crawl: demo-1      # the one it learns from

ingest:
  allow_hosts: []
  connect: {}
  user_agent: "sluice/0.1"
  contact: ""
  proxy: ""
  opt_outs: [robots, noai]
  concurrency: 16
  per_host_concurrency: 4
  domain_rate: .inf
  domain_burst: 10.0
  megabytes_per_s: .inf
  windows: []
  attempts: 2
  backoff_s: 0.1
  max_pause_s: 10.0
  max_host_timeouts: 20
  deadline_s: 10.0
  shard_deadline_s: 600.0
  max_redirects: 5
  max_bytes: 20_000_000
  max_pixels: 100_000_000
  max_side: 512
  quality: 90
  bounded_side: longest
  decoders: [jpeg, png]
  decoder_memory_mb: 1000
  encoding: jpg
  block_lists: []
  verify_hash: true
  scorer: ""
  rows_per_shard: 1000
  breaker_requests: 50
  breaker_share: 0.8   # of the first requests
  max_age_days: 30.0
"""


def digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def make_record(number: int, **changes: Any) -> dict[str, Any]:
    """A sound record; `number` makes its address, ids and hashes."""
    url = f"http://demo.test/{number}.jpg"
    record = {
        "sample_id": digest(f"{url} text"),
        "image_id": digest(url),
        "crawl": "alpha",
        "shard": "00000",
        "key": f"{number:09d}",
        "url": url,
        "alt_text": f"a cat, number {number}",
        "concept": "cat",
        "page_url": None,
        "extra": None,
        "status": "ok",
        "detail": None,
        "sha256": hashlib.sha256(url.encode()).hexdigest(),
        "bytes": 1000 + number,
        "format": "jpeg",
        "width": 64,
        "height": 48,
        "original_width": 640,
        "original_height": 480,
        "phash": number,
        "phash_mirrored": number,
        "thumbnail": bytes(1024),
    }
    if changes.get("status") == "failed":
        nothing = (
            "sha256",
            "bytes",
            "format",
            "width",
            "height",
            "original_width",
            "original_height",
            "phash",
            "phash_mirrored",
            "thumbnail",
        )
        record.update(dict.fromkeys(nothing))
    return record | changes


def write_table(contract: Contract, root: Path, rows: list[dict[str, Any]], *, per_crawl: bool = True, shard: str = "00000") -> None:
    """Write rows to one shard of each of their crawls (or to the one shard of a table without crawls)."""
    crawls = list(dict.fromkeys(row["crawl"] for row in rows)) if contract.partitioned else [""]
    sink = Sink(contract, root, crawls, per_crawl=per_crawl)
    for crawl in crawls:
        chosen = [row for row in rows if not contract.partitioned or row["crawl"] == crawl]
        sink.write(Shard(crawl, shard), pa.Table.from_pylist(chosen, schema=contract.schema))


def make_project(top: Path, repo: Path) -> Path:
    """A project folder with the real graph, the params that its paths and `crawl add` need, and two concepts."""
    (top / "data" / "concepts").mkdir(parents=True)
    shutil.copy(repo / "dvc.yaml", top / "dvc.yaml")
    (top / "params.yaml").write_text(PARAMS)
    concepts = [{"name": "cat", "definition": "a small domestic feline"}, {"name": "dog", "definition": "a domestic canine"}]
    (top / "data" / "concepts" / "pets.yaml").write_text(yaml.safe_dump({"concepts": concepts}))
    return top


@pytest.fixture
def project(tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Such a folder, as the working directory."""
    top = make_project(tmp_path / "project", repo)
    monkeypatch.chdir(top)
    return top
