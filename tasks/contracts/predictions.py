"""Predictions: one row per clean test picture and trained model; written by `evaluate`."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="predictions",
    doc="One row per picture of a clean test set and trained model: what the model said",
    key=("clean_set", "picture_id", "arm", "seed"),
    partitioned=False,
    schema=pa.schema(
        [
            column("clean_set", pa.string(), "Name of the clean set"),
            column("picture_id", pa.string(), "Place of the picture in the set and the start of its SHA-256"),
            column("arm", pa.string(), "Training arm: raw, random, curated"),
            column("seed", pa.int64(), "Seed of the training run"),
            column("concept", pa.string(), "True concept of the picture"),
            column("predicted_concept", pa.string(), "Concept that the model finds most probable"),
            column("probability", pa.float32(), "That concept's probability"),
        ]
    ),
)
