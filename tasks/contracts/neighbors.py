"""Neighbors: the kNN graph over image embeddings, one row per indexed sample; written by `index`."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="neighbors",
    doc="One row per indexed sample: its nearest neighbours by cosine similarity, itself excluded",
    key=("sample_id",),
    schema=pa.schema(
        [
            column("position", pa.int64(), "Row number of the sample in the index, counted over all crawls"),
            column("sample_id", pa.string(), "The record's sample_id"),
            column("crawl", pa.string(), "Name of the crawl"),
            column("neighbors", pa.list_(pa.int64()), "Positions of the nearest neighbours, nearest first"),
            column("similarities", pa.list_(pa.float32()), "Cosine similarities of these neighbours"),
        ]
    ),
)
