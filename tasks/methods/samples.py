"""Align samples: what several tables say of the indexed samples, in the order of the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.methods.alignment import places, wide, wide_rows
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
    """The rows of the samples `ids`, in their order, with wide types. Raises ValueError for a sample that the table doesn't have."""
    return wide_rows(table).take(located(ids, table["sample_id"]))


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
    folds = np.where(_apart(copies), -1, copies["fold"].to_numpy().astype(np.int64))
    return Samples(ids, crawls, given, _sorted_codes(copies["duplicate_group"]), shaping_weights(copies), folds, *wide)


def shaping_weights(copies: pa.Table) -> np.ndarray:
    """(n,) float64, 1 for rows that shape others' scores: the first of each group, if neither in the test split nor a leak.

    copies: rows of the table duplicates (its columns ALIGNED) in the order of the index.
    """
    apart = _apart(copies)
    return np.where(first_of_each(np.where(apart, -1, _sorted_codes(copies["duplicate_group"]))) & ~apart, 1.0, 0.0)


def nearest_usable(neighbors: np.ndarray, similarities: np.ndarray, usable: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `n_neighbors` of each list that are `usable` (n,) bool, then -1, and their similarities, then 0.

    neighbors (b, m) int row numbers, -1 = none, nearest first; similarities (b, m).
    """
    counts = (neighbors >= 0) & usable[np.maximum(neighbors, 0)]
    order = np.argsort(~counts, axis=1, kind="stable")[:, :n_neighbors]
    near, alike, there = (np.take_along_axis(values, order, axis=1) for values in (neighbors, similarities, counts))
    return np.where(there, near, -1), np.where(there, alike, 0.0)


def _apart(copies: pa.Table) -> np.ndarray:
    """(n,) bool: of the test split, or copies of clean test pictures."""
    return np.asarray(pc.or_(pc.equal(copies["split"], "test"), copies["is_leak"]).to_numpy())


def _sorted_codes(names: pa.ChunkedArray) -> np.ndarray:
    """(n,) int64: the place of each name among the distinct ones, sorted. As text of numpy they would take four times the room."""
    distinct = pc.unique(wide(names))
    return places(names, distinct.take(pc.sort_indices(distinct)))
