"""Pairs: the evidence that two samples show the same picture; written by `deduplicate`."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="pairs",
    doc="One row per pair of samples that were found to be copies of each other, with the evidence",
    key=("sample_id", "other_id", "evidence"),
    schema=pa.schema(
        [
            column("sample_id", pa.string(), "The later sample of the pair"),
            column("other_id", pa.string(), "The earlier sample of the pair"),
            column("crawl", pa.string(), "Crawl of the later sample"),
            column("evidence", pa.string(), "exact (same bytes), perceptual (pHash) or semantic (embedding)"),
            column("similarity", pa.float32(), "Cosine similarity of the two image embeddings; 1 for exact copies"),
        ]
    ),
)
