"""Matches: one row per indexed sample, matched against the prototypes of every concept; written by `match`."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="matches",
    doc="One row per indexed sample: the concepts that it matches best",
    key=("sample_id",),
    schema=pa.schema(
        [
            column("sample_id", pa.string(), "The record's sample_id"),
            column("crawl", pa.string(), "Name of the crawl"),
            column("matched_concept", pa.string(), "Concept whose visual prototype is nearest to the image"),
            column("similarity", pa.float32(), "Cosine similarity to that prototype"),
            column("margin", pa.float32(), "That similarity minus the second-best concept's"),
            column("text_similarity", pa.float32(), "Cosine similarity of image and alt_text; null without text", nullable=True),
            column("is_anchor", pa.bool_(), "Whether the image is one of its concept's clean anchors"),
            column("concepts", pa.list_(pa.string()), "The best-matching concepts, best first"),
            column("probabilities", pa.list_(pa.float32()), "Prototype probabilities of these concepts"),
        ]
    ),
)
