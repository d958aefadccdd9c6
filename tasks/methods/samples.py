"""Align samples: what several tables say of the indexed samples, in the order of the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.methods.alignment import places
from tasks.methods.groups import first_of_each

ALIGNED = ["sample_id", "duplicate_group", "is_leak", "split", "fold"]


class Wide(NamedTuple):
    """What takes most room of n samples, held or mapped from files: neighbors (n, n_neighbors) int row numbers, -1 = none; similarities
    (n, n_neighbors) float32; embeddings (n, d) float32 of the images, of unit length."""

    neighbors: np.ndarray
    similarities: np.ndarray
    embeddings: np.ndarray


@dataclass(frozen=True)
class Samples:
    """n indexed samples.

    given (n,) int64: number of the given concept, -1 = none; groups (n,) int64: copies share one; weights (n,) float64: 1 for the first of
    each group, 0 for its copies, in the test split and for copies of clean test pictures: these shape nothing, so that a copy that comes
    later changes no other row's scores; folds (n,) int64, -1 in the test split and for copies of clean pictures;
    neighbors, similarities and embeddings as in `Wide`.
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
    return table.take(located(ids, table["sample_id"]))


def located(ids: pa.ChunkedArray, stored: pa.ChunkedArray) -> np.ndarray:
    """(n,) int64: the first place of each of the samples `ids` among those `stored`. Raises ValueError for one that isn't there."""
    found = places(ids, stored)
    if (found < 0).any():
        missing = ids[int(np.flatnonzero(found < 0)[0])]
        raise ValueError(f"{int((found < 0).sum())} indexed samples are missing from a table, such as {missing}: run `dvc repro` again")
    return found


def align_samples(
    ids: pa.ChunkedArray, crawls: pa.ChunkedArray, records: pa.Table, duplicates: pa.Table, wide: Wide, *, names: Sequence[str]
) -> Samples:
    """Samples `ids` of the `crawls` (n,), by the tables records (sample_id, concept) and duplicates (its columns ALIGNED)."""
    given = places(align(records, ids)["concept"], pa.array(names, pa.string()))
    copies = align(duplicates, ids)
    groups = _sorted_codes(copies["duplicate_group"])
    apart = pc.or_(pc.equal(copies["split"], "test"), copies["is_leak"]).to_numpy()
    return Samples(
        ids,
        crawls,
        given,
        groups,
        np.where(first_of_each(np.where(apart, -1, groups)) & ~apart, 1.0, 0.0),
        np.where(apart, -1, copies["fold"].to_numpy().astype(np.int64)),
        *wide,
    )


def _sorted_codes(names: pa.ChunkedArray) -> np.ndarray:
    """(n,) int64: the place of each name among the distinct ones, sorted. As text of numpy they would take four times the room."""
    distinct = pc.unique(names)
    return places(names, distinct.take(pc.sort_indices(distinct)))
