"""Validity: one row per record, saying whether it may go on and, if not, why; written by `validate`."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="validity",
    doc="One row per record: may it go on, and if not, why",
    key=("sample_id",),
    schema=pa.schema(
        [
            column("sample_id", pa.string(), "The record's sample_id"),
            column("crawl", pa.string(), "Name of the crawl"),
            column("valid", pa.bool_(), "Whether the row goes on to embedding"),
            column("reasons", pa.list_(pa.string()), "Every reason against the row: unreachable, timeout, disallowed, blocked, ..."),
        ]
    ),
)
