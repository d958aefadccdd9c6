"""Embeddings: one row per valid sample, its image and text in the encoder's space; written by `embed`."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="embeddings",
    doc="One row per valid sample: the encoder's L2-normalised embeddings of its image and text",
    key=("sample_id",),
    schema=pa.schema(
        [
            column("sample_id", pa.string(), "The record's sample_id"),
            column("crawl", pa.string(), "Name of the crawl"),
            column("image_embedding", pa.list_(pa.float16()), "Embedding of the image, L2-normalised"),
            column("text_embedding", pa.list_(pa.float16()), "Embedding of alt_text, L2-normalised; null without text", nullable=True),
        ]
    ),
)
