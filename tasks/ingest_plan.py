"""Plan shards of a crawl: their rows, the recipe that says what they are made of, and whether they are there already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.crawls import EMBEDDED, CrawlSettings, web_digest
from tasks.core.files import digest_of
from tasks.core.forgotten import Forgotten
from tasks.core.lanes import Board
from tasks.core.portions import Portion, read_rows, times_refetched
from tasks.core.tables import Artifact, Shard, Sink, Source
from tasks.methods.known import KnownImages

FORMAT = 3  # raised when the same answers of the web would give other bytes
VERSION = ("image_id", "fresh", "fetched_at", "etag", "last_modified", "sha256")  # of a known image, in a recipe


@dataclass(frozen=True)
class Job:
    """What every worker has to know. `connect`: with the address of the embedded web, if there is one; `web`: its digest; `http2`: for
    https.
    """

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
    http2: bool

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


def source_of(sink: Sink) -> Source:
    """The same table for reading."""
    return Source(sink.contract, sink.root, sink.crawls, sink.per_crawl, sink.bound_crawl)
