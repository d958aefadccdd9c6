"""Ingest: a crawl's manifest becomes tar shards of images, and a record of every row, failures included.

What has been fetched is never fetched again by accident: the settings are frozen in the crawl's folder, and a shard whose record is
there, made from the same rows and settings, is left alone.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from tasks.contracts.fetches import CONTRACT as FETCHES
from tasks.contracts.records import CONTENT, CONTRACT
from tasks.core.crawls import EMBEDDED, KNOWN, CrawlSettings, read_blocked, read_settings, web_digest
from tasks.core.errors import CrawlError
from tasks.core.files import digest_of, remove_temporaries, write_atomically
from tasks.core.forgotten import DETAIL, Forgotten, read_forgotten
from tasks.core.lanes import Board, Tally, board
from tasks.core.lineage import FETCHES as FETCHES_FOLDER
from tasks.core.live import watched
from tasks.core.portions import Portion, read_portions, read_rows, times_refetched
from tasks.core.shards import ShardPool
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Shard, Sink, Source
from tasks.methods.addresses import AddressRules
from tasks.methods.breaker import Breaker
from tasks.methods.decoding import Bounds, load_decoders
from tasks.methods.fetch import Fetcher
from tasks.methods.inspection import Inspection
from tasks.methods.known import KnownImages
from tasks.methods.lane import Lane, OpenShard, Work
from tasks.methods.packing import Outcome, Packing
from tasks.methods.requests import Fetched, Limits, Request
from tasks.methods.robots import Robots
from tasks.methods.safety import in_domains, is_hash, load_scorer
from tasks.methods.tars import write_in_order
from tasks.methods.windows import seconds_until_open

FORMAT = 3  # raised when the same answers of the web would give other bytes
SITE_WISHES = frozenset({"robots", "ai_txt", "tdm_file"})  # for these a site's own files are read
VERSION = ("image_id", "fresh", "fetched_at", "etag", "last_modified", "sha256")  # of a known image, in a recipe


@dataclass(frozen=True)
class Job:
    """What every worker has to know. `connect`: with the address of the embedded web, if there is one; `web`: its digest."""

    folder: Path
    images: Artifact
    records: Sink
    fetches: Sink
    settings: CrawlSettings
    connect: Mapping[str, str]
    web: str | None
    blocked: frozenset[str]
    forgotten: Forgotten
    portions: Sequence[Portion]
    workers: int
    board: Board

    def tar(self, shard: Shard) -> Path:
        return self.images.path / f"{shard.name}.tar"


@dataclass(eq=False)
class ShardPlan:
    """A shard's rows, the keys of its images, and what it is made from: `recipe` with the images that have moved, `origin` without.

    `hidden`: images that are forgotten; their rows are empty.
    """

    portion: Portion
    rows: list[dict[str, Any]]
    hidden: frozenset[str]
    keys: dict[str, str]
    origin: str
    recipe: str


def ingest(crawls: Artifact, images: Artifact, records: Sink, crawl: str, pool: ShardPool) -> Metrics:
    """Raises CrawlError for a folder that is no crawl, and when the network is down."""
    settings = read_settings(crawls.path)
    portions = read_portions(crawls.path, crawl, settings.rows_per_shard)
    images.path.mkdir(parents=True, exist_ok=True)
    fetches = Sink(FETCHES, FETCHES_FOLDER / crawl, [crawl], bound_crawl=crawl)
    remove_leftovers(images, (records, fetches), [portion.shard for portion in portions])
    web = web_of(crawls.path, settings)
    blocked = frozenset(read_blocked(crawls.path))
    pool = pool.limited(min(settings.concurrency, settings.per_host_concurrency))  # so that every worker may have one request open
    counts: Counter[str] = Counter()
    details: Counter[str] = Counter()
    with served(crawls.path, settings.connect) as connect, board(images.path) as notes:
        forgotten = read_forgotten(crawls.path.parent)
        job = Job(crawls.path, images, records, fetches, settings, connect, web, blocked, forgotten, portions, pool.workers, notes)
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
        async with make_fetcher(settings, self.job.connect, limits, self.job.blocked) as fetcher:
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


def make_fetcher(settings: CrawlSettings, connect: Mapping[str, str], limits: Limits, blocked: frozenset[str]) -> Fetcher:
    """The fetcher that a crawl's settings ask for."""
    honoured = frozenset(settings.opt_outs)
    domains = frozenset(entry for entry in blocked if not is_hash(entry))
    robots = Robots(settings.user_agent.partition("/")[0], honoured) if honoured & SITE_WISHES else None
    return Fetcher(
        limits=limits,
        agent=f"{settings.user_agent} (+{settings.contact})" if settings.contact else settings.user_agent,
        rules=AddressRules(frozenset(host.lower() for host in settings.allow_hosts), connect, settings.proxy or None, domains),
        robots=robots,
        honoured=honoured,
    )


def limits_of(settings: CrawlSettings, workers: int) -> Limits:
    """The crawl's bounds for one of `workers` processes: what is open at a time, and what goes per second, is shared out among them."""
    return Limits(
        concurrency=max(1, settings.concurrency // workers),
        per_host_concurrency=max(1, settings.per_host_concurrency // workers),
        domain_rate=settings.domain_rate / workers,
        domain_burst=max(1.0, settings.domain_burst / workers),
        max_pause_s=settings.max_pause_s,
        max_timeouts=settings.max_host_timeouts,
        attempts=settings.attempts,
        backoff_s=settings.backoff_s,
        deadline_s=settings.deadline_s,
        max_redirects=settings.max_redirects,
        max_bytes=settings.max_bytes,
        bandwidth=settings.megabytes_per_s * 1e6 / workers,
        windows=tuple(settings.windows),
        share=workers,
    )


def plan_shard(job: Job, portion: Portion, known: KnownImages) -> ShardPlan:
    """Read a shard's rows and say what it is made from."""
    table, hidden = job.forgotten.masked(read_rows(portion))
    rows = table.to_pylist()
    keys = {image: f"{portion.shard.name}{place:04d}" for place, image in enumerate(dict.fromkeys(row["image_id"] for row in rows))}
    origin = origin_of(job.folder, portion, rows, hidden, known, settings=job.settings, web=job.web, blocked=job.blocked)
    kept = [row for row in rows if row["image_id"] not in portion.moved]
    return ShardPlan(portion, kept, hidden, keys, origin, recipe_of(origin, portion))


def origin_of(
    folder: Path,
    portion: Portion,
    rows: Sequence[Mapping[str, Any]],
    hidden: frozenset[str],
    known: KnownImages,
    *,
    settings: CrawlSettings,
    web: str | None,
    blocked: frozenset[str],
) -> str:
    """What a shard of these rows is made from; rows of `hidden` images, which are forgotten, are empty."""
    images = dict.fromkeys(row["image_id"] for row in rows if row["image_id"] not in hidden)
    versions = [row for table in known.tables(images, VERSION) for row in table.select(VERSION).to_pylist()]
    chosen = sorted(settings.model_dump().items())
    return digest_of(FORMAT, chosen, web, sorted(blocked), times_refetched(folder), portion.shard, rows, versions)


def recipe_of(origin: str, portion: Portion) -> str:
    """The recipe in a shard's record: its origin, and which of its images have moved to a list of retries."""
    return f"{origin}:{digest_of(*sorted(portion.moved))}" if portion.moved else origin


def web_of(folder: Path, settings: CrawlSettings) -> str | None:
    """The digest of the web that the crawl brings along, if it brings one."""
    return web_digest(folder) if EMBEDDED in settings.connect.values() else None


def is_done(job: Job, plan: ShardPlan) -> bool:
    """Whether a shard is there as it should be; rows of images that have moved since, and had failed here, are taken out of its record."""
    shard, moved = plan.portion.shard, plan.portion.moved
    if not job.tar(shard).is_file():
        return False
    if job.records.done(shard, plan.recipe):
        return True
    try:
        found = job.records.recipe(shard) or ""
    except (OSError, pa.ArrowInvalid):
        return False
    if found.partition(":")[0] != plan.origin:
        return False
    table = source_of(job.records).read(shard)
    staying = table.filter(pc.invert(pc.is_in(table["image_id"], value_set=pa.array(sorted(moved), pa.string()))))
    if staying["status"].to_pylist().count("ok") != table["status"].to_pylist().count("ok") or staying.num_rows != len(plan.rows):
        return False
    job.records.write(shard, staying, plan.recipe)
    return True


def bounds_of(settings: CrawlSettings) -> Bounds:
    """What a picture may be, and how large its stored form."""
    return Bounds(
        decoders=settings.decoders,
        max_pixels=settings.max_pixels,
        max_side=settings.max_side,
        shortest=settings.bounded_side == "shortest",
        memory_mb=settings.decoder_memory_mb,
    )


def inspection_of(settings: CrawlSettings, blocked: frozenset[str], forgotten: Forgotten) -> Inspection:
    """How the images of a crawl are looked at. Raises CrawlError for a scorer that can't be loaded."""
    try:
        scorer = load_scorer(settings.scorer) if settings.scorer else None
    except ValueError as error:
        raise CrawlError(str(error)) from None
    return Inspection(
        bounds=bounds_of(settings),
        encoding=settings.encoding,
        quality=settings.quality,
        blocked=frozenset(filter(is_hash, blocked)),
        forgotten=forgotten.digests,
        verify_hash=settings.verify_hash,
        scorer=scorer,
    )


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


def source_of(sink: Sink) -> Source:
    """The same table for reading."""
    return Source(sink.contract, sink.root, sink.crawls, sink.per_crawl, sink.bound_crawl)


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
