"""Proposals: off-topic images that lie together and come again, as concepts that could be added; written by `drift`."""

import pyarrow as pa

from tasks.core.tables import Contract, column

CONTRACT = Contract(
    name="proposals",
    doc="One row per clump of off-topic images that several crawls brought: a concept that could be added to data/concepts",
    key=("proposal_id",),
    partitioned=False,
    schema=pa.schema(
        [
            column("proposal_id", pa.string(), "sample_id of the clump's most central image"),
            column("words", pa.list_(pa.string()), "Words that set the texts of its images apart, most telling first; empty if none does"),
            column("n_rows", pa.int64(), "Images in the clump, copies left out"),
            column("crawls", pa.list_(pa.string()), "Crawls that brought them, in order of arrival"),
            column("n_hosts", pa.int64(), "Distinct hosts that they came from"),
            column("cohesion", pa.float32(), "Mean cosine similarity of the images to their centre"),
            column("nearest_concept", pa.string(), "Concept that most of them match best: a distractor of it, perhaps"),
            column("sample_ids", pa.list_(pa.string()), "The most central images"),
        ]
    ),
)
