"""Keep a crawl's folder: its manifest, and the settings frozen when it was added.

`ingest` depends on this folder alone, so nothing that changes elsewhere ever makes it reach out again.
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pydantic import Field, ValidationError, field_validator

from tasks.core.errors import CrawlError
from tasks.core.files import digest_of_file, write_folder_atomically
from tasks.core.params import Params

EMBEDDED = "embedded"
WEB_DIGEST = b"sluice.digest"
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


class CrawlSettings(Params):
    """How one crawl is fetched. params.yaml's `ingest` section is copied into a crawl's folder when the crawl is added."""

    allow_hosts: list[str]
    connect: dict[str, str]
    user_agent: str
    contact: str
    respect_robots: bool
    respect_noai: bool
    concurrency: Count
    per_host_concurrency: Count
    attempts: Count
    deadline_s: Annotated[float, Field(gt=0)]
    shard_deadline_s: Annotated[float, Field(gt=0)]
    max_redirects: Annotated[int, Field(ge=0)]
    max_bytes: Count
    max_pixels: Count
    max_side: Count
    quality: Annotated[int, Field(ge=1, le=100)]
    rows_per_shard: Annotated[int, Field(ge=1, le=9_999)]
    breaker_requests: Count
    breaker_share: Annotated[float, Field(gt=0, le=1)]

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


def write_crawl(folder: Path, manifest: pa.Table, settings: CrawlSettings, web: pa.Table | None = None) -> None:
    """Write a crawl's folder as a whole. `manifest` has MANIFEST's columns; `web` (path, bytes) is what an embedded server shows."""
    if manifest.num_rows == 0:
        raise CrawlError(f"crawl '{folder.name}' has an empty manifest: nothing to fetch")
    order = [("image_id", "ascending"), ("sample_id", "ascending")]
    with write_folder_atomically(folder) as temporary:
        pq.write_table(manifest.select(MANIFEST.names).cast(MANIFEST).sort_by(order), temporary / "manifest.parquet", compression="zstd")
        (temporary / "settings.yaml").write_text(yaml.safe_dump(settings.model_dump(), sort_keys=False))
        if web is not None:
            pq.write_table(web, temporary / "web.parquet", compression="none", row_group_size=1000)


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


def read_settings(folder: Path) -> CrawlSettings:
    """The frozen settings. Raises CrawlError that names the key."""
    path = folder / "settings.yaml"
    try:
        return CrawlSettings.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise CrawlError(f"crawl '{folder.name}' has no readable settings.yaml: add it with `sluice crawl add`") from None
    except ValidationError as error:
        faults = "; ".join(f"'{'.'.join(map(str, item['loc']))}': {item['msg']}" for item in error.errors())
        raise CrawlError(f"{path}: {faults}") from None
