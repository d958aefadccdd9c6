"""Keep a crawl's folder: its manifest, and the settings frozen when it was added.

`ingest` depends on this folder alone, so nothing that changes elsewhere ever makes it reach out again.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pydantic import Field, ValidationError, field_validator

from tasks.core.errors import CrawlError
from tasks.core.files import digest_of_file, write_atomically, write_folder_atomically
from tasks.core.params import Params

EMBEDDED = "embedded"
WEB_DIGEST = b"sluice.digest"
BLOCKED = "blocked.txt"  # domains and hashes, one a line
KNOWN = "known.parquet"  # images of earlier crawls
ROW_GROUP = 10_000  # rows; a shard is read from the groups that hold it
MANIFEST = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("alt_text", pa.string(), nullable=False),
        pa.field("concept", pa.string()),
        pa.field("page_url", pa.string()),
        pa.field("extra", pa.string()),
    ]
)
Count = Annotated[int, Field(ge=1)]


Positive = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Window = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")]
OptOut = Literal["robots", "noai", "noimageai", "noindex", "noimageindex", "none", "ai_txt", "tdm_header", "tdm_file"]


class CrawlSettings(Params):
    """How one crawl is fetched. params.yaml's `ingest` section is copied into a crawl's folder when the crawl is added."""

    allow_hosts: list[str]
    connect: dict[str, str]
    user_agent: Annotated[str, Field(min_length=1)]
    contact: str
    proxy: str
    opt_outs: list[OptOut]
    concurrency: Count
    per_host_concurrency: Count
    domain_rate: Positive
    domain_burst: Annotated[float, Field(ge=1)]
    megabytes_per_s: Positive
    windows: list[Window]
    attempts: Count
    backoff_s: Seconds
    max_pause_s: Seconds
    max_host_timeouts: Count
    deadline_s: Seconds
    shard_deadline_s: Seconds
    max_redirects: Annotated[int, Field(ge=0)]
    max_bytes: Count
    max_pixels: Count
    max_side: Count
    bounded_side: Literal["longest", "shortest"]
    decoders: Annotated[list[str], Field(min_length=1)]
    decoder_memory_mb: Count
    encoding: Literal["jpg", "webp"]
    block_lists: list[str]
    verify_hash: bool
    scorer: str
    quality: Annotated[int, Field(ge=1, le=100)]
    rows_per_shard: Annotated[int, Field(ge=1, le=9_999)]
    breaker_requests: Count
    breaker_share: Annotated[float, Field(gt=0, le=1)]
    max_age_days: Annotated[float, Field(ge=0)]

    @field_validator("proxy")
    @classmethod
    def _proxy(cls, proxy: str) -> str:
        if proxy and not re.fullmatch(r"https?://[^/\s]+/?", proxy):
            raise ValueError(f"'{proxy}' is no proxy: say http://HOST:PORT, or \"\" for none")
        return proxy

    @field_validator("connect")
    @classmethod
    def _addresses(cls, connect: dict[str, str]) -> dict[str, str]:
        """Lower-case hosts; every target is `embedded` or ADDRESS:PORT with a numeric address."""
        for host, target in connect.items():
            address, _, port = target.rpartition(":")
            try:
                valid = target == EMBEDDED or (ip_address(address.strip("[]")) is not None and 0 < int(port) < 65536)
            except ValueError:
                valid = False
            if not valid:
                raise ValueError(f"'{host}' is connected to '{target}': say ADDRESS:PORT with a numeric address, or '{EMBEDDED}'")
        return {host.lower(): target for host, target in connect.items()}


def write_crawl(
    folder: Path,
    manifest: pa.Table,
    settings: CrawlSettings,
    web: pa.Table | Iterable[pa.Table] | None = None,
    known: Iterable[pa.Table] = (),
    blocked: Sequence[str] = (),
) -> None:
    """Write a crawl's folder as a whole. `manifest` has MANIFEST's columns; `web` (path, bytes) is what an embedded server shows;
    `known` holds images that need not be fetched, or only if they have changed (contract `known`);
    `blocked` holds the entries of its block lists.
    """
    if manifest.num_rows == 0:
        raise CrawlError(f"crawl '{folder.name}' has an empty manifest: nothing to fetch")
    with write_folder_atomically(folder) as temporary:
        write_rows(temporary / "manifest.parquet", manifest)
        (temporary / "settings.yaml").write_text(yaml.safe_dump(settings.model_dump(), sort_keys=False))
        if web is not None:
            parts = (web.slice(start, 1000) for start in range(0, web.num_rows, 1000)) if isinstance(web, pa.Table) else web
            write_known(temporary / "web.parquet", parts)
        write_known(temporary / KNOWN, known)
        if blocked:
            (temporary / BLOCKED).write_text("".join(f"{entry}\n" for entry in blocked))


def write_rows(path: Path, rows: pa.Table) -> None:
    """Write rows of a manifest in the order in which they are cut into shards, in row groups that a shard can be read from."""
    order = [("image_id", "ascending"), ("sample_id", "ascending")]
    table = rows.select(MANIFEST.names).cast(MANIFEST).sort_by(order)
    pq.write_table(table, path, compression="zstd", row_group_size=ROW_GROUP)


def write_known(path: Path, tables: Iterable[pa.Table]) -> int:
    """Write images that are there already, a row group per table, and say how many; without any, there is no file afterwards."""
    n_rows = 0
    with write_atomically(path) as temporary:
        writer = None
        for table in tables:
            if table.num_rows:
                writer = writer or pq.ParquetWriter(temporary, table.schema, compression="none")
                writer.write_table(table)
                n_rows += table.num_rows
        if writer is not None:
            writer.close()
        else:
            temporary.touch()
    if not n_rows:
        path.unlink()
    return n_rows


def read_manifest(folder: Path) -> pa.Table:
    """The crawl's rows, sorted by image_id and sample_id. Raises CrawlError if the folder is not a crawl."""
    try:
        table = pq.read_table(folder / "manifest.parquet")
    except (OSError, pa.ArrowInvalid) as error:
        raise CrawlError(f"crawl '{folder.name}' has no readable manifest ({error}): add it with `sluice crawl add`") from None
    if table.schema.names != MANIFEST.names:
        raise CrawlError(f"crawl '{folder.name}': manifest.parquet has columns {table.schema.names}, not {MANIFEST.names}")
    if table.num_rows == 0:
        raise CrawlError(f"crawl '{folder.name}' has an empty manifest: nothing to fetch")
    return table


def web_digest(folder: Path) -> str:
    """A digest of the embedded web as it was made: that a page was removed since changes no recipe of the shards without it."""
    path = folder / "web.parquet"
    kept = (pq.read_schema(path).metadata or {}).get(WEB_DIGEST)
    return kept.decode() if kept else digest_of_file(path)


def read_blocked(folder: Path) -> list[str]:
    """The domains and hashes that the crawl's block lists held when it was added."""
    path = folder / BLOCKED
    return path.read_text().splitlines() if path.exists() else []


def read_settings(folder: Path) -> CrawlSettings:
    """The frozen settings. Raises CrawlError that names the key."""
    path = folder / "settings.yaml"
    try:
        return CrawlSettings.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise CrawlError(f"crawl '{folder.name}' has no readable settings.yaml: add it with `sluice crawl add`") from None
    except ValidationError as error:
        faults = "; ".join(f"'{'.'.join(map(str, item['loc']))}': {item['msg']}" for item in error.errors())
        way_out = "if another version of Sluice has frozen it, remove the crawl with --purge and add it again"
        raise CrawlError(f"{path}: {faults}; {way_out}") from None
