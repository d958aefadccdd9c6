"""Ingest: a crawl's manifest becomes tar shards of images, and a record of every row, failures included.

What has been fetched is never fetched again by accident: the settings are frozen in the crawl's folder, and a shard whose record is
there, made from the same rows and settings, is left alone.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from tasks.contracts.fetches import CONTRACT as FETCHES
from tasks.contracts.records import CONTENT, CONTRACT
from tasks.core.crawls import EMBEDDED, KNOWN, read_blocked, read_settings
from tasks.core.errors import CrawlError
from tasks.core.files import remove_temporaries, write_atomically
from tasks.core.forgotten import DETAIL, read_forgotten
from tasks.core.lanes import Tally, board
from tasks.core.lineage import FETCHES as FETCHES_FOLDER
from tasks.core.live import watched
from tasks.core.portions import read_portions
from tasks.core.settings import DEFAULTS, Settings
from tasks.core.shards import ShardPool
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Shard, Sink
from tasks.ingest_bounds import inspection_of, limits_of, make_fetcher
from tasks.ingest_plan import Job, ShardPlan, is_done, plan_shard, source_of, web_of
from tasks.methods.breaker import Breaker
from tasks.methods.decoding import load_decoders
from tasks.methods.known import KnownImages
from tasks.methods.lane import Lane, OpenShard, Work
from tasks.methods.packing import Outcome, Packing
from tasks.methods.requests import Fetched, Request
from tasks.methods.safety import in_domains
from tasks.methods.tars import write_in_order
from tasks.methods.windows import seconds_until_open


def ingest(crawls: Artifact, images: Artifact, records: Sink, crawl: str, pool: ShardPool, settings: Settings = DEFAULTS) -> Metrics:
    """Raises CrawlError for a folder that is no crawl, and when the network is down."""
    asked = read_settings(crawls.path)
    portions = read_portions(crawls.path, crawl, asked.rows_per_shard)
    images.path.mkdir(parents=True, exist_ok=True)
    fetches = Sink(FETCHES, FETCHES_FOLDER / crawl, [crawl], bound_crawl=crawl)
    remove_leftovers(images, (records, fetches), [portion.shard for portion in portions])
    web = web_of(crawls.path, asked)
    blocked = frozenset(read_blocked(crawls.path))
    pool = pool.limited(min(asked.concurrency, asked.per_host_concurrency))  # so that every worker may have one request open
    counts: Counter[str] = Counter()
    details: Counter[str] = Counter()
    with served(crawls.path, asked.connect) as connect, board(images.path) as notes:
        forgotten = read_forgotten(crawls.path.parent)
        job = Job(
            crawls.path, images, records, fetches, asked, connect, web, blocked, forgotten, portions, pool.workers, notes, settings.http2
        )
        with watched(notes.tallies, "ingest", crawl, sum(portion.n_images for portion in portions)):
            for lane_counts, lane_details in pool.map(partial(run_lane, job), range(pool.workers)):
                counts.update(lane_counts)
                details.update(lane_details)
    return {**counts, "details": dict(sorted(details.items()))}


def run_lane(job: Job, worker: int) -> tuple[Counter[str], Counter[str]]:
    """One worker's part: shards that nobody else has claimed, as long as there are any; its counts and failures."""
    try:
        job.board.begin(worker)
        return asyncio.run(Ingesting(job, worker).run())
    except BaseException:
        job.board.stop()  # the others end what they have begun
        raise


class Ingesting:
    """What one worker does with shards and images."""

    def __init__(self, job: Job, worker: int) -> None:
        self.job = job
        self.tally = Tally(job.board, worker)
        self.numbers = iter(range(len(job.portions)))
        self.known = KnownImages(job.folder / KNOWN)
        self.plans: dict[str, ShardPlan] = {}
        self.given: dict[str, dict[str, Any]] = {}  # the first row of each URL under way
        load_decoders()
        self.inspection = inspection_of(job.settings, job.blocked, job.forgotten)
        self.counts: Counter[str] = Counter()
        self.details: Counter[str] = Counter()
        n_images = sum(portion.n_images for portion in job.portions)
        self.breaker = Breaker(max(1, min(job.settings.breaker_requests, n_images // job.workers)), job.settings.breaker_share)

    async def run(self) -> tuple[Counter[str], Counter[str]]:
        """Claim, fetch, pack and record, several shards at a time."""
        settings = self.job.settings
        limits = limits_of(settings, self.job.workers)
        work = Work(
            claim=self.claim,
            outcome=self.outcome,
            count=self.count,
            finish=self.finish,
            closed_s=lambda: seconds_until_open(settings.windows, datetime.now(UTC)),
            rows_per_shard=settings.rows_per_shard,
            concurrency=limits.concurrency,
            shard_deadline_s=settings.shard_deadline_s,
        )
        async with make_fetcher(settings, self.job.connect, limits, self.job.blocked, self.job.http2) as fetcher:
            await Lane(fetcher, work).run()
        self.known.close()
        self.tally.write()
        return self.counts, self.details

    def claim(self) -> OpenShard | None:
        """Open the next shard that is not done yet."""
        while (number := self.job.board.claim(self.numbers)) is not None:
            plan = plan_shard(self.job, self.job.portions[number], self.known)
            if not is_done(self.job, plan):
                return self.open(plan)
            self.tally.kept += plan.portion.n_images
            self.tally.done += plan.portion.n_images
            self.add_counts(plan.portion.shard)
        return None

    def open(self, plan: ShardPlan) -> OpenShard:
        """Begin a shard: what is known and fresh is taken over, the rest is to be fetched."""
        shard = plan.portion.shard
        self.job.records.path(shard).unlink(missing_ok=True)  # it speaks of a tar that is about to change
        self.plans[shard.name] = plan
        self.given |= {row["url"]: row for row in reversed(plan.rows)}
        images = {row["url"]: row["image_id"] for row in plan.rows if row["image_id"] not in plan.hidden}
        opened = OpenShard(shard.name, [], images, Packing(self.job.images.path))
        for image in plan.hidden & plan.keys.keys():
            opened.packing.put(image, Outcome({"status": "failed", "detail": DETAIL}))
            self.tally.count(DETAIL, 0)
        requests = {url: Request(url) for url in images}
        urls = {image: url for url, image in images.items()}
        for table in self.known.tables(urls):
            for row in table.to_pylist():
                image, url = row["image_id"], urls[row["image_id"]]
                if self.is_refused(url, row):
                    continue
                stored = opened.packing.store(
                    Outcome({"status": "ok", **{name: row[name] for name in CONTENT}}, row["extension"], row["data"])
                )
                if row["fresh"]:
                    opened.packing.restore(image, stored)
                    opened.fetched[image] = linked(url, row)
                    del images[url], requests[url]
                    self.tally.count(None, 0)
                elif row["etag"] or row["last_modified"]:
                    opened.held[image] = stored
                    requests[url] = Request(url, row["etag"], row["last_modified"])
        opened.requests = list(requests.values())
        return opened

    def is_refused(self, url: str, row: Mapping[str, Any]) -> bool:
        """Whether a known image is to be looked at as if it weren't: it is on a list by now, or has no scores."""
        on_list = row["sha256"] in self.job.blocked | self.job.forgotten.digests or in_domains(
            urlsplit(url).hostname or "", self.job.blocked
        )
        return on_list or (self.inspection.scorer is not None and row["safety"] is None)

    def outcome(self, fetched: Fetched) -> Outcome:
        """What came of an image. Raises CrawlError for a scorer that gives no scores."""
        try:
            return self.inspection.outcome(fetched, self.given.get(fetched.url, {}))
        except ValueError as error:
            raise CrawlError(str(error)) from None

    def count(self, fetched: Fetched, outcome: Outcome) -> None:
        """Take in one result. Raises CrawlError if the line looks dead, so that a crawl isn't recorded as unreachable by mistake."""
        self.tally.count(outcome.columns.get("detail"), len(fetched.body))
        host = fetched.host if fetched.detail is not None else ""
        began = fetched.at - fetched.seconds if fetched.seconds else -math.inf
        complaint = self.breaker.count(host, fetched.detail, began, fetched.at)
        if complaint is not None:
            raise CrawlError(f"{complaint}: check the network, then run `dvc repro` again; finished shards stay")

    def finish(self, opened: OpenShard) -> None:
        """Pack and record a shard; the record is written last, so its being there says that all is."""
        plan = self.plans.pop(opened.name)
        for row in plan.rows:
            self.given.pop(row["url"], None)
        shard = plan.portion.shard
        with write_atomically(self.job.tar(shard)) as temporary:
            write_in_order(temporary, opened.packing.entries(plan.rows, plan.keys))
        self.job.fetches.write(shard, fetch_table(opened, shard))
        self.job.records.write(shard, record_table(plan, opened.packing), plan.recipe)
        self.add_counts(shard)

    def add_counts(self, shard: Shard) -> None:
        """Count the rows of a written shard."""
        counts, details = count(self.job.records, shard)
        self.counts.update(counts)
        self.details.update(details)


def linked(url: str, row: Mapping[str, Any]) -> Fetched:
    """How an image came that an earlier crawl has fetched."""
    at = row["fetched_at"].timestamp() if row["fetched_at"] is not None else 0.0
    return Fetched(url, etag=row["etag"], last_modified=row["last_modified"], at=at)


def record_table(plan: ShardPlan, packing: Packing) -> pa.Table:
    """The records of a shard, by sample_id."""
    records = []
    shard = plan.portion.shard
    for row in plan.rows:
        place = {"crawl": shard.crawl, "shard": shard.name, "key": plan.keys[row["image_id"]]}
        records.append(dict.fromkeys(CONTRACT.schema.names) | row | place | dict(packing.columns(row["image_id"])))
    return pa.Table.from_pylist(records, schema=CONTRACT.schema).sort_by("sample_id")


def fetch_table(opened: OpenShard, shard: Shard) -> pa.Table:
    """When and how each image of a shard was fetched, by image_id."""
    rows = []
    for image, fetched in sorted(opened.fetched.items()):
        source = "unchanged" if fetched.unchanged else "linked" if fetched.detail is None and not fetched.attempts else "fetched"
        at = datetime.fromtimestamp(fetched.at, UTC) if fetched.at else None
        row = {"image_id": image, "crawl": shard.crawl, "shard": shard.name, "source": source, "fetched_at": at}
        rows.append(
            row | {name: getattr(fetched, name) for name in ("seconds", "attempts", "http_status", "detail", "etag", "last_modified")}
        )
    return pa.Table.from_pylist(rows, schema=FETCHES.schema)


def count(records: Sink, shard: Shard) -> tuple[Counter[str], Counter[str]]:
    """Rows, images, ok rows and bytes of a written shard, and its rows per detail."""
    rows = source_of(records).read(shard, ["image_id", "status", "detail", "bytes"]).to_pydict()
    sizes = {image: size or 0 for image, size in zip(rows["image_id"], rows["bytes"], strict=True)}
    ok = rows["status"].count("ok")
    counts = {"rows": len(rows["status"]), "images": len(sizes), "ok": ok, "bytes": sum(sizes.values())}
    return Counter(counts), Counter(detail for detail in rows["detail"] if detail is not None)


def remove_leftovers(images: Artifact, tables: Sequence[Sink], shards: Sequence[Shard]) -> None:
    """Delete what an earlier manifest, or a killed writer, left."""
    for table in tables:
        table.keep_only(shards)
    remove_temporaries(images.path)
    names = {f"{shard.name}.tar" for shard in shards}
    for tar in images.path.glob("*.tar"):
        if tar.name not in names:
            tar.unlink()


@contextmanager
def served(folder: Path, connect: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """`connect` with every `embedded` replaced by the address of a loopback server that shows the crawl's own web.parquet."""
    if EMBEDDED not in connect.values():
        yield dict(connect)
        return
    from tasks.methods.serve import EmbeddedWeb

    with EmbeddedWeb(folder / "web.parquet") as web:
        yield {host: f"127.0.0.1:{web.port}" if target == EMBEDDED else target for host, target in connect.items()}


if __name__ == "__main__":
    main(ingest)
