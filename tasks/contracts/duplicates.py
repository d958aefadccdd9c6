"""Duplicates: one row per indexed sample, with its group of copies, its split and its fold; written by `deduplicate`."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="duplicates",
    doc="One row per indexed sample: its group of copies, and the split and fold that the group went to",
    key=("sample_id",),
    schema=pa.schema(
        [
            column("sample_id", pa.string(), "The record's sample_id"),
            column("crawl", pa.string(), "Name of the crawl"),
            column("duplicate_group", pa.string(), "sample_id of the group's first-seen member: older crawl, then smaller id"),
            column("near_duplicate_score", pa.float32(), "1 for an image without any copy, 0 for an exact copy"),
            column("is_leak", pa.bool_(), "Whether the image is a copy of one in the evaluation sets"),
            column("split", pa.string(), "train, val or test, by hash of the group"),
            column("fold", pa.int8(), "Fold for out-of-fold predictions, by hash of the group"),
        ]
    ),
)
