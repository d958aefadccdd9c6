"""Prototypes: what each concept looks like and means in the encoder's space; written by `match`."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="prototypes",
    doc="One row per concept and kind of prototype: text, visual, or a distractor (another sense of the word)",
    key=("concept", "kind", "name"),
    partitioned=False,
    schema=pa.schema(
        [
            column("concept", pa.string(), "Name of the concept"),
            column("kind", pa.string(), "text, visual or distractor"),
            column("name", pa.string(), "The concept's name, or the distractor's words"),
            column("embedding", pa.list_(pa.float32()), "The prototype in the encoder's space, L2-normalised"),
            column("n_images", pa.int64(), "Number of anchor images behind a visual prototype; 0 for texts"),
        ]
    ),
)
