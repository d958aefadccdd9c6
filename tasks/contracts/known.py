"""Known: one row per image that a crawl need not fetch, or only if it has changed; written into a crawl's folder by `sluice crawl`."""

import pyarrow as pa

from tasks.contracts.records import CONTENT
from tasks.contracts.records import CONTRACT as RECORDS
from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="known",
    doc="One row per image of the manifest that an earlier crawl, or this one before it was fetched again, has stored",
    key=("image_id",),
    partitioned=False,
    schema=pa.schema(
        [
            column("image_id", pa.string(), "128-bit hash of the url"),
            column("fresh", pa.bool_(), "Young enough to be taken over without a request"),
            column("fetched_at", pa.timestamp("ms", tz="UTC"), "When it was fetched", nullable=True),
            column("etag", pa.string(), "Version, as its server named it", nullable=True),
            column("last_modified", pa.string(), "Date of the version, as its server named it", nullable=True),
            column("extension", pa.string(), "Name of the stored format in the tar shard"),
            column("data", pa.large_binary(), "The stored image"),
            *(RECORDS.schema.field(name) for name in CONTENT),
        ]
    ),
)
