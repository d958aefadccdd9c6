"""Ingest: a crawl's manifest becomes tar shards of images, and a record of every row, failures included.

What has been fetched is never fetched again by accident: the settings are frozen in the crawl's folder, and a shard whose record is
there, made from the same rows and settings, is left alone.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.contracts.records import CONTRACT
from tasks.core.crawls import EMBEDDED, CrawlSettings, read_manifest, read_settings, web_digest
from tasks.core.errors import CrawlError
from tasks.core.files import digest_of, remove_temporaries, write_atomically
from tasks.core.forgotten import DETAIL, Forgotten, read_forgotten
from tasks.core.progress import track
from tasks.core.shards import ShardPool
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Shard, Sink, Source
from tasks.methods.addresses import AddressRules
from tasks.methods.failures import NETWORK_DOWN
from tasks.methods.fetch import Fetched, Fetcher, Limits
from tasks.methods.pictures import PictureError, decode
from tasks.methods.robots import Robots
from tasks.methods.tars import Entry, write_images

FORMAT = 1  # raised when the same answers of the web would give other bytes
OPT_OUT = frozenset({"noai", "noimageai"})


@dataclass(frozen=True)
class Portion:
    """The rows of the manifest that make one shard: whole images, `rows_per_shard` of them at most."""

    shard: Shard
    start: int
    stop: int


@dataclass(frozen=True)
class Outcome:
    """What came of one image: columns of its record and, if it is ok, what to store."""

    columns: Mapping[str, Any]
    extension: str = ""
    data: bytes = b""


@dataclass
class Breaker:
    """Stops the stage when the line looks dead, so that a crawl isn't recorded as unreachable by mistake."""

    requests: int
    share: float
    seen: int = 0
    down: Counter[str] = field(default_factory=Counter)

    def count(self, detail: str | None) -> None:
        """Take in one result. Raises CrawlError when, of the first `requests`, more than `share` found the network down."""
        if self.seen >= self.requests:
            return
        self.seen += 1
        if detail in NETWORK_DOWN:
            self.down[detail] += 1
        failed = self.down.total()
        if self.seen == self.requests and failed > self.share * self.requests:
            details = ", ".join(f"{name} {n}" for name, n in self.down.most_common())
            raise CrawlError(
                f"{failed} of the first {self.seen} requests of a shard failed ({details}), the limit is {self.share:.0%}: "
                "check the network, then run `dvc repro` again; finished shards stay"
            )


def ingest(crawls: Artifact, images: Artifact, records: Sink, crawl: str, pool: ShardPool) -> Metrics:
    """Raises CrawlError for a folder that is no crawl, and when the network is down."""
    settings = read_settings(crawls.path)
    portions = cut(read_manifest(crawls.path)["image_id"], crawl, settings.rows_per_shard)
    images.path.mkdir(parents=True, exist_ok=True)
    remove_leftovers(images, records, [portion.shard for portion in portions])
    web = web_digest(crawls.path) if EMBEDDED in settings.connect.values() else None
    forgotten = read_forgotten(crawls.path.parent)
    pool = pool.limited(min(settings.concurrency, settings.per_host_concurrency))  # so that every worker may have one request open
    with served(crawls.path, settings.connect) as connect:
        work = partial(
            ingest_shard,
            crawls=crawls,
            images=images,
            records=records,
            settings=settings,
            connect=connect,
            web=web,
            workers=pool.workers,
            forgotten=forgotten,
        )
        counts: Counter[str] = Counter()
        details: Counter[str] = Counter()
        for shard_counts, shard_details in track(pool.map(work, portions), len(portions), f"ingest {crawl}"):
            counts.update(shard_counts)
            details.update(shard_details)
    return {**counts, "details": dict(sorted(details.items()))}


def ingest_shard(
    portion: Portion,
    crawls: Artifact,
    images: Artifact,
    records: Sink,
    settings: CrawlSettings,
    connect: Mapping[str, str],
    web: str | None,
    workers: int,
    forgotten: Forgotten,
) -> tuple[Counter[str], Counter[str]]:
    """Fetch, pack and record one shard unless that is done; the record is written last, so its being there says that all is."""
    rows, hidden = forgotten.masked(read_rows(crawls.path / "manifest.parquet", portion))
    recipe = recipe_of(portion, rows, settings, web)
    tar = images.path / f"{portion.shard.name}.tar"
    if not (records.done(portion.shard, recipe) and tar.is_file()):
        records.path(portion.shard).unlink(missing_ok=True)  # it speaks of a tar that is about to change
        urls = dict(zip(rows["image_id"].to_pylist(), rows["url"].to_pylist(), strict=True))
        wanted = {image: url for image, url in urls.items() if image not in hidden}
        outcomes = asyncio.run(gather(wanted, settings, connect, workers, forgotten.digests))
        outcomes |= dict.fromkeys(hidden, Outcome({"status": "failed", "detail": DETAIL}))
        keys = {image: f"{portion.shard.name}{place:04d}" for place, image in enumerate(urls)}
        with write_atomically(tar) as temporary:
            write_images(temporary, entries(rows, outcomes, keys))
        records.write(portion.shard, record_table(rows, outcomes, keys, portion.shard), recipe)
    return count(records, portion.shard)


def recipe_of(portion: Portion, rows: pa.Table, settings: CrawlSettings, web: str | None) -> str:
    """What the shard of these rows is made from; what is forgotten is empty in `rows`."""
    return digest_of(FORMAT, sorted(settings.model_dump().items()), web, portion.shard, rows.to_pylist())


async def gather(
    urls: Mapping[str, str], settings: CrawlSettings, connect: Mapping[str, str], workers: int, forgotten: Collection[str] = ()
) -> dict[str, Outcome]:
    """What came of every image, by its id; `urls` goes from id to address. Bytes whose SHA-256 is `forgotten` are not kept."""
    ids = {url: image for image, url in urls.items()}
    breaker = Breaker(min(settings.breaker_requests, len(urls)), settings.breaker_share)
    rules = AddressRules(frozenset(host.lower() for host in settings.allow_hosts), connect)
    outcomes: dict[str, Outcome] = {}
    async with (
        Fetcher(
            limits=limits_of(settings, workers),
            agent=f"{settings.user_agent} (+{settings.contact})" if settings.contact else settings.user_agent,
            rules=rules,
            robots=known_robots(settings.user_agent.partition("/")[0]) if settings.respect_robots else None,
            opt_out=OPT_OUT if settings.respect_noai else frozenset(),
        ) as fetcher,
        aclosing(fetcher.fetch_all(list(ids))) as results,
    ):
        async for fetched in results:
            breaker.count(fetched.detail)
            outcomes[ids[fetched.url]] = outcome_of(fetched, settings, forgotten)
    return outcomes


def limits_of(settings: CrawlSettings, workers: int) -> Limits:
    """The crawl's bounds for one of `workers` processes: what is open at a time is shared out among them."""
    return Limits(
        concurrency=max(1, settings.concurrency // workers),
        per_host_concurrency=max(1, settings.per_host_concurrency // workers),
        attempts=settings.attempts,
        deadline_s=settings.deadline_s,
        total_deadline_s=settings.shard_deadline_s,
        max_redirects=settings.max_redirects,
        max_bytes=settings.max_bytes,
    )


@lru_cache
def known_robots(agent: str) -> Robots:
    """The sites that this process has asked for their robots.txt: shards share them."""
    return Robots(agent)


def outcome_of(fetched: Fetched, settings: CrawlSettings, forgotten: Collection[str] = ()) -> Outcome:
    """Decode what was fetched; bytes that give no picture are a failure with their size and hash known."""
    if fetched.detail is not None:
        return Outcome({"status": "failed", "detail": fetched.detail})
    columns: dict[str, Any] = {"sha256": sha256(fetched.body).hexdigest(), "bytes": len(fetched.body)}
    if columns["sha256"] in forgotten:
        return Outcome({"status": "failed", "detail": DETAIL})
    try:
        picture = decode(fetched.body, max_pixels=settings.max_pixels, max_side=settings.max_side, quality=settings.quality)
    except PictureError as error:
        return Outcome({**columns, "status": "failed", "detail": error.detail})
    columns |= {"status": "ok", "format": picture.format, "width": picture.width, "height": picture.height}
    columns |= {"original_width": picture.original_width, "original_height": picture.original_height}
    columns |= {"phash": picture.phash, "phash_mirrored": picture.phash_mirrored, "thumbnail": picture.thumbnail}
    return Outcome(columns, picture.extension, picture.data)


def entries(rows: pa.Table, outcomes: Mapping[str, Outcome], keys: Mapping[str, str]) -> Iterator[Entry]:
    """What goes into the tar: the images that are ok, each with the text of its first sample."""
    packed: set[str] = set()
    for row in rows.to_pylist():
        image = row["image_id"]
        outcome = outcomes[image]
        if outcome.columns["status"] != "ok" or image in packed:
            continue
        packed.add(image)
        sizes = {name: outcome.columns[name] for name in ("width", "height", "original_width", "original_height", "sha256")}
        fields = {"key": keys[image], "url": row["url"], "caption": row["alt_text"], "image_id": image, **sizes}
        fields |= {"status": "success", "error_message": None}  # img2dataset's names
        yield Entry(keys[image], outcome.extension, outcome.data, row["alt_text"], fields)


def record_table(rows: pa.Table, outcomes: Mapping[str, Outcome], keys: Mapping[str, str], shard: Shard) -> pa.Table:
    """The records of a shard, by sample_id."""
    records = []
    for row in rows.to_pylist():
        place = {"crawl": shard.crawl, "shard": shard.name, "key": keys[row["image_id"]]}
        records.append(dict.fromkeys(CONTRACT.schema.names) | row | place | dict(outcomes[row["image_id"]].columns))
    return pa.Table.from_pylist(records, schema=CONTRACT.schema).sort_by("sample_id")


def cut(image_ids: pa.ChunkedArray, crawl: str, images_per_shard: int) -> list[Portion]:
    """Cut a manifest in order of image_id, which is a hash and so shuffles the hosts, into shards of whole images."""
    ids = image_ids.combine_chunks()
    changes = pc.not_equal(ids[1:], ids[:-1])
    firsts = [0, *(place + 1 for place in pc.indices_nonzero(changes).to_pylist())][::images_per_shard]
    stops = [*firsts[1:], len(ids)]
    return [Portion(Shard(crawl, f"{n:05d}"), start, stop) for n, (start, stop) in enumerate(zip(firsts, stops, strict=True))]


def read_rows(path: Path, portion: Portion) -> pa.Table:
    """The rows of a portion, out of the row groups that hold them."""
    with pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        begins = [sum(sizes[:group]) for group in range(len(sizes))]
        held = [g for g, begin in enumerate(begins) if begin < portion.stop and begin + sizes[g] > portion.start]
        return file.read_row_groups(held).slice(portion.start - begins[held[0]], portion.stop - portion.start)


def count(records: Sink, shard: Shard) -> tuple[Counter[str], Counter[str]]:
    """Rows, images, ok rows and bytes of a written shard, and its rows per detail."""
    source = Source(records.contract, records.root, records.crawls, records.per_crawl, records.bound_crawl)
    rows = source.read(shard, ["image_id", "status", "detail", "bytes"]).to_pydict()
    sizes = {image: size or 0 for image, size in zip(rows["image_id"], rows["bytes"], strict=True)}
    ok = rows["status"].count("ok")
    counts = {"rows": len(rows["status"]), "images": len(sizes), "ok": ok, "bytes": sum(sizes.values())}
    return Counter(counts), Counter(detail for detail in rows["detail"] if detail is not None)


def remove_leftovers(images: Artifact, records: Sink, shards: Sequence[Shard]) -> None:
    """Delete what an earlier manifest, or a killed writer, left."""
    records.keep_only(shards)
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
