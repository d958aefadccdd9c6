"""Reviews: one row per verdict of a person, never changed and never removed; written by `sluice explore`, used by `score` and `curate`."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="reviews",
    doc="One row per verdict that a person gave on a sample; of several on one sample the latest counts",
    key=("sample_id", "reviewed_at"),
    partitioned=False,
    schema=pa.schema(
        [
            column("sample_id", pa.string(), "The sample that the person looked at"),
            column("sha256", pa.string(), "SHA-256 of the picture as downloaded: a verdict holds for the bytes that were looked at"),
            column("verdict", pa.string(), "confirmed, corrected, dropped; withdrawn takes back what was said before"),
            column("concept", pa.string(), "What the picture shows, where it was confirmed or corrected", nullable=True),
            column("reviewer", pa.string(), "Who said so"),
            column("reviewed_at", pa.timestamp("us"), "When, UTC"),
        ]
    ),
)
