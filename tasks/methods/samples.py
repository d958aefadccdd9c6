"""Align samples: what several tables say of the indexed samples, in the order of the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tasks.methods.alignment import codes, matrix, padded, places
from tasks.methods.prototypes import normalized

ALIGNED = ["sample_id", "duplicate_group", "is_leak", "split", "fold"]


@dataclass(frozen=True)
class Samples:
    """n indexed samples.

    given (n,) int64: number of the given concept, -1 = none; groups (n,) int64: copies share one; weights (n,) float64: 1 for the first of
    each group, 0 for its copies, in the test split and for copies of clean test pictures: these shape nothing, so that a copy that comes
    later changes no other row's scores; folds (n,) int64, -1 in the test split and for copies of clean pictures;
    neighbors (n, n_neighbors) int64 row numbers, -1 = none; similarities (n, n_neighbors) float32; embeddings (n, d) float32 of the
    images.
    """

    sample_ids: pa.ChunkedArray
    crawls: pa.ChunkedArray
    given: np.ndarray
    groups: np.ndarray
    weights: np.ndarray
    folds: np.ndarray
    neighbors: np.ndarray
    similarities: np.ndarray
    embeddings: np.ndarray


def align(table: pa.Table, ids: pa.ChunkedArray) -> pa.Table:
    """The rows of the samples `ids`, in their order. Raises ValueError for a sample that the table doesn't have."""
    found = places(ids, table["sample_id"])
    if (found < 0).any():
        missing = ids[int(np.flatnonzero(found < 0)[0])]
        raise ValueError(f"{int((found < 0).sum())} indexed samples are missing from a table, such as {missing}: run `dvc repro` again")
    return table.take(found)


def align_samples(graph: pa.Table, records: pa.Table, embeddings: pa.Table, duplicates: pa.Table, *, names: Sequence[str]) -> Samples:
    """Samples out of the tables neighbors, records, embeddings and duplicates (its columns ALIGNED)."""
    ids = graph["sample_id"]
    copies = align(duplicates, ids)
    groups = np.unique(copies["duplicate_group"].to_numpy().astype(str), return_inverse=True)[1].reshape(-1)
    apart = (copies["split"].to_numpy() == "test") | copies["is_leak"].to_numpy()
    return Samples(
        ids,
        graph["crawl"],
        codes(align(records, ids)["concept"].to_pylist(), names),
        groups,
        np.where(first_of_each(np.where(apart, -1, groups)) & ~apart, 1.0, 0.0),
        np.where(apart, -1, copies["fold"].to_numpy().astype(np.int64)),
        padded(graph["neighbors"], -1, np.int64),
        padded(graph["similarities"], 0.0, np.float32),
        normalized(matrix(align(embeddings, ids)["image_embedding"])),
    )


def first_of_each(groups: np.ndarray) -> np.ndarray:
    """(n,) bool: the first row of each group; groups (n,) int."""
    first = np.zeros(len(groups), bool)
    first[np.unique(groups, return_index=True)[1]] = True
    return first
