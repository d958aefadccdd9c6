"""Known: find what earlier crawls have stored of a new crawl's images, so that they need not be fetched again, or only if they changed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.contracts.fetches import CONTRACT as FETCHES
from tasks.contracts.known import CONTRACT
from tasks.contracts.records import CONTENT
from tasks.contracts.records import CONTRACT as RECORDS
from tasks.core.crawls import CrawlSettings, read_settings
from tasks.core.errors import SluiceError
from tasks.core.graph import read_graph
from tasks.core.lineage import FETCHES as FETCHES_FOLDER
from tasks.core.tables import Shard, Source
from tasks.methods.decoding import KEPT
from tasks.methods.signatures import sniff
from tasks.methods.tars import read_images

# What decides how an image is stored: crawls that differ in one of these don't share images.
STORED_AS = ("max_bytes", "max_pixels", "max_side", "bounded_side", "decoders", "encoding", "quality")
ROWS = 500  # of a table: some ten megabytes of images


@dataclass(frozen=True)
class Place:
    """Where an image lies, when it was fetched, and which version it is."""

    crawl: str
    shard: str
    fetched_at: datetime
    etag: str | None
    last_modified: str | None


def known_images(
    image_ids: pa.ChunkedArray, crawls: Iterable[str], values: Mapping[str, Any], settings: CrawlSettings, max_age: timedelta | None
) -> Iterator[pa.Table]:
    """Rows of the contract `known`, of the images that one of the crawls has stored in the same way; the latest fetch counts.

    Those up to `max_age` old are `fresh` (None: none is); older ones are given if their server named a version to ask with.
    """
    wanted = pa.array(image_ids.unique().to_pylist(), pa.string())
    found: dict[str, Place] = {}
    for crawl in crawls:
        if stored_alike(crawl, values, settings):
            for image, place in places(crawl, values, wanted):
                if image not in found or found[image].fetched_at < place.fetched_at:
                    found[image] = place
    oldest = datetime.now(UTC) - max_age if max_age is not None else None
    shards: dict[tuple[str, str], dict[str, Place]] = {}
    for image, place in found.items():
        if (oldest is not None and place.fetched_at >= oldest) or place.etag or place.last_modified:
            shards.setdefault((place.crawl, place.shard), {})[image] = place
    for (crawl, shard), chosen in sorted(shards.items()):
        yield from stored_images(
            path_of("images", crawl, values) / f"{shard}.tar", records_of(crawl, values), Shard(crawl, shard), chosen, oldest
        )


def stored_alike(crawl: str, values: Mapping[str, Any], settings: CrawlSettings) -> bool:
    """Whether a crawl has images that this one would store byte for byte alike."""
    try:
        other = read_settings(path_of("crawls", crawl, values))
    except SluiceError:
        return False
    return all(getattr(settings, name) == getattr(other, name) for name in STORED_AS)


def places(crawl: str, values: Mapping[str, Any], wanted: pa.Array) -> Iterator[tuple[str, Place]]:
    """The wanted images that a crawl has stored, as far as it is known when they were fetched."""
    records = records_of(crawl, values)
    fetches = Source(FETCHES, FETCHES_FOLDER / crawl, [crawl], bound_crawl=crawl)
    for shard in records.shards():
        if not fetches.path(shard).exists() or not (path_of("images", crawl, values) / f"{shard.name}.tar").exists():
            continue
        rows = records.read(shard, ["image_id", "status"])
        stored = rows.filter(pc.and_(pc.equal(rows["status"], "ok"), pc.is_in(rows["image_id"], value_set=wanted)))["image_id"].unique()
        fetched = fetches.read(shard, ["image_id", "fetched_at", "etag", "last_modified"])
        for row in fetched.filter(pc.is_in(fetched["image_id"], value_set=stored)).to_pylist():
            if row["fetched_at"] is not None:
                yield row["image_id"], Place(crawl, shard.name, row["fetched_at"], row["etag"], row["last_modified"])


def stored_images(tar: Path, records: Source, shard: Shard, chosen: Mapping[str, Place], oldest: datetime | None) -> Iterator[pa.Table]:
    """The chosen images of one shard, ROWS at a time in order of their keys."""
    table = records.read(shard)
    rows = {row["key"]: row for row in table.filter(pc.is_in(table["image_id"], value_set=pa.array(list(chosen), pa.string()))).to_pylist()}
    batch: list[dict[str, Any]] = []
    for key, data in read_images(tar, rows):
        place = chosen[rows[key]["image_id"]]
        known = {
            "image_id": rows[key]["image_id"],
            "fresh": oldest is not None and place.fetched_at >= oldest,
            "fetched_at": place.fetched_at,
        }
        known |= {"etag": place.etag, "last_modified": place.last_modified, "extension": KEPT[sniff(data) or ""], "data": data}
        batch.append(known | {name: rows[key][name] for name in CONTENT})
        if len(batch) == ROWS:
            yield pa.Table.from_pylist(batch, schema=CONTRACT.schema)
            batch = []
    yield pa.Table.from_pylist(batch, schema=CONTRACT.schema)


def records_of(crawl: str, values: Mapping[str, Any]) -> Source:
    """A crawl's records."""
    return Source(RECORDS, path_of("records", crawl, values), [crawl], bound_crawl=crawl)


def path_of(name: str, crawl: str, values: Mapping[str, Any]) -> Path:
    """Where dvc.yaml has what `ingest` takes or makes for a crawl."""
    entry = read_graph()["ingest"]
    found = next(found for found in (*entry.deps, *entry.outs) if found.name == name)
    return found.path({**values, "item": crawl})
