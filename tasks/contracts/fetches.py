"""Fetches: one row per image of a crawl, with the time and the manner of its fetching; lineage, written by `ingest` outside the graph."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="fetches",
    doc="One row per image of a crawl: when and how it was fetched. Clocks are in it, so that it is not the same twice",
    key=("image_id",),
    schema=pa.schema(
        [
            column("image_id", pa.string(), "128-bit hash of the url, 32 hex digits"),
            column("crawl", pa.string(), "Name of the crawl"),
            column("shard", pa.string(), "Shard of the crawl that records it"),
            column(
                "source", pa.string(), "fetched; unchanged (the server said so, the stored image was kept); linked (of an earlier crawl)"
            ),
            column("fetched_at", pa.timestamp("ms", tz="UTC"), "When the answer, or the last failure, came", nullable=True),
            column("seconds", pa.float32(), "Time of all tries together"),
            column("attempts", pa.int32(), "Number of tries; 0 if the host was given up before"),
            column("http_status", pa.int32(), "Status of the last answer", nullable=True),
            column("detail", pa.string(), "Fine class of a failure", nullable=True),
            column("etag", pa.string(), "ETag of the answer", nullable=True),
            column("last_modified", pa.string(), "Last-Modified of the answer", nullable=True),
        ]
    ),
)
