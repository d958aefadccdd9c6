"""Deduplicate: groups of copies with their evidence, splits and folds by group, and copies of clean sets, out of hashes and the kNN graph.

Exact copies have equal bytes. All other evidence only proposes: perceptual hashes (also of the mirrored picture) within a radius, and
neighbours in the embedding space. Thumbnails confirm, for on small pictures hashes and weak encoders put strangers together, and so do
equal frames, corners and words on large ones: their details must agree as well.
"""

import logging
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, Field, model_validator

from tasks.contracts.duplicates import CONTRACT as DUPLICATES
from tasks.contracts.pairs import CONTRACT as PAIRS
from tasks.core.params import Params, SharedParams
from tasks.core.settings import DEFAULTS, Settings
from tasks.core.stage import Metrics, main
from tasks.core.tables import Artifact, Sink, Source
from tasks.deduplicate_rows import Rows, read_clean, read_neighbor_pairs, read_rows, read_thumbnails
from tasks.methods.alignment import wide_rows
from tasks.methods.cells import train_cells
from tasks.methods.copies import (
    CleanPictures,
    Copies,
    Thumbnails,
    clean_copies,
    distinct_pairs,
    exact_pairs,
    hash_candidates,
    marginless_candidates,
    nearest_copy,
    picture_similarity,
    together,
)
from tasks.methods.groups import assign_fold, assign_split, grow_groups
from tasks.methods.semdedup import cell_pairs
from tasks.methods.vectors import pair_similarities

VECTORS = "vectors.npy"
ROW_BYTES = 600  # of ids, digests, hashes and labels, which groups over all crawls need at once
log = logging.getLogger(__name__)


class Shares(BaseModel, frozen=True, strict=True, extra="forbid"):
    """Shares of the groups that go to each split."""

    train: Annotated[float, Field(ge=0, le=1)]
    val: Annotated[float, Field(ge=0, le=1)]
    test: Annotated[float, Field(ge=0, le=1)]

    @model_validator(mode="after")
    def sum_to_one(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError(f"train {self.train}, val {self.val} and test {self.test} must sum to 1")
        return self


class DeduplicateParams(Params):
    """What is a copy, and how groups are dealt out."""

    radius: Annotated[int, Field(ge=0, le=32)]
    max_per_hash: Annotated[int, Field(ge=1)]
    semantic: Literal["neighbors", "neighbors_and_cells"]
    cells_per_sqrt: Annotated[float, Field(gt=0)]
    points_per_cell: Annotated[int, Field(ge=1)]
    max_near_duplicate_similarity: Annotated[float, Field(ge=-1, le=1)]
    min_copy_similarity: Annotated[float, Field(ge=0, le=1)]
    min_semantic_copy_similarity: Annotated[float, Field(ge=0, le=1)]
    min_group_similarity: Annotated[float, Field(ge=0, le=1)]
    max_zoom: Annotated[float, Field(ge=0, lt=0.5)]
    min_detail_side: Annotated[int, Field(ge=1)]
    min_layout_similarity: Annotated[float, Field(ge=0, le=1)]
    min_detail_similarity: Annotated[float, Field(ge=0, le=1)]
    min_small_side: Annotated[int, Field(ge=1)]
    min_small_detail_similarity: Annotated[float, Field(ge=0, le=1)]
    max_detail_zoom: Annotated[float, Field(ge=0, lt=0.5)]
    splits: Shares
    n_folds: Annotated[int, Field(ge=2, le=127)]


def deduplicate(
    records: Source,
    index: Artifact,
    neighbors: Source,
    clean: Artifact,
    duplicates: Sink,
    pairs: Sink,
    params: DeduplicateParams,
    shared: SharedParams,
    settings: Settings = DEFAULTS,
) -> Metrics:
    """One row per indexed sample, one row per pair of copies."""
    n = neighbors.n_rows()
    settings.require_memory(n * ROW_BYTES, f"ids, digests and hashes of {n} samples", "deduplicate fewer crawls")
    rows = read_rows(records, neighbors, params.min_detail_side)
    contents = np.flatnonzero(rows.first == np.arange(len(rows.ids)))
    limits = {"radius": params.radius, "max_per_hash": params.max_per_hash}
    perceptual = hash_candidates(contents, rows.hashes[contents], rows.mirrored[contents], **limits)
    large = contents[rows.sides[contents] >= params.min_detail_side]
    framed = marginless_candidates(large, rows.hashes[large], rows.marginless[large], **limits)
    semantic = semantic_candidates(neighbors, index.path / VECTORS, rows.first, params, shared.seed)
    evaluation = read_clean(clean.path)
    suspects = clean_copies(rows.hashes[contents], rows.mirrored[contents], evaluation.hashes, **limits)
    suspects[:, 0] = contents[suspects[:, 0]]
    wanted = np.unique(np.concatenate([perceptual.ravel(), framed.ravel(), semantic.ravel(), suspects[:, 0]]))
    thumbnails = read_thumbnails(records, rows, wanted)

    copies = confirmed(perceptual, framed, semantic, thumbnails, rows, params)
    links = np.concatenate([found.pairs for found in copies.values()])
    splits = assign_split(rows.ids, params.splits.model_dump(), shared.seed)  # of the groups that rows would give their name to
    resembles = thumbnails.resemblance(
        rows.first,
        min_similarity=params.min_group_similarity,
        max_zoom=params.max_zoom,
        same_details=lambda pairs: share_details(pairs, thumbnails, rows, params),
    )
    labels = grow_groups(links, crawls=rows.crawl_numbers, splits=splits, resembles=resembles)
    splits = splits[labels]
    leaks = find_leaks(rows, suspects, thumbnails, evaluation, params)
    is_leak = np.isin(labels, labels[leaks])  # a copy of a leaked picture is a leak
    duplicates.write_whole(wide_rows(duplicate_table(rows, copies, labels, splits, is_leak, params.n_folds, shared.seed)))
    pairs.write_whole(wide_rows(pair_table(rows, copies, index.path / VECTORS)))
    return summary(copies, labels, splits, is_leak)


def semantic_candidates(neighbors: Source, vectors: Path, first: np.ndarray, params: DeduplicateParams, seed: int) -> np.ndarray:
    """Candidate pairs (m, 2) of contents near each other in the embedding space: edges of the kNN graph, and SemDeDup's if wanted."""
    least = params.max_near_duplicate_similarity
    edges = read_neighbor_pairs(neighbors, first, least)
    if params.semantic == "neighbors":
        return edges
    embeddings = np.load(vectors, mmap_mode="r")
    cells = train_cells(embeddings, cells_per_sqrt=params.cells_per_sqrt, points_per_cell=params.points_per_cell, seed=seed)
    return distinct_pairs(np.concatenate([edges, first[cell_pairs(embeddings, cells, min_similarity=least)[0]]]))


def confirmed(
    perceptual: np.ndarray, framed: np.ndarray, semantic: np.ndarray, thumbnails: Thumbnails, rows: Rows, params: DeduplicateParams
) -> dict[str, Copies]:
    """Evidence -> the candidates that look alike enough, and how alike."""
    exact = exact_pairs(rows.first)
    alike = thumbnails.confirm(perceptual, min_similarity=params.min_copy_similarity, max_zoom=params.max_zoom)
    further = distinct_pairs(np.concatenate([perceptual, framed]))
    same, layouts = by_details(further, thumbnails, rows, params)  # not of semantic candidates: they bring more strangers than copies
    near = thumbnails.confirm(semantic, min_similarity=params.min_semantic_copy_similarity, max_zoom=params.max_zoom)
    return {
        "exact": Copies(exact, np.ones(len(exact), np.float32)),
        "perceptual": together(uncontradicted(alike, thumbnails, rows, params), Copies(further[same], layouts[same])),
        "semantic": uncontradicted(near, thumbnails, rows, params),
    }


def by_details(pairs: np.ndarray, thumbnails: Thumbnails, rows: Rows, params: DeduplicateParams) -> tuple[np.ndarray, np.ndarray]:
    """Which of the candidate pairs (m, 2) are copies by their details, (m,) bool, and how alike their layouts are, (m,)."""
    large = rows.sides[pairs].min(axis=1) >= params.min_detail_side
    least = np.where(large, params.min_detail_similarity, params.min_small_detail_similarity)
    least[~has_details(pairs, rows, params)] = np.inf
    return thumbnails.same_details(pairs, least, min_layout=params.min_layout_similarity, max_zoom=params.max_detail_zoom)


def share_details(pairs: np.ndarray, thumbnails: Thumbnails, rows: Rows, params: DeduplicateParams) -> np.ndarray:
    """Which (m,) bool of the pairs (m, 2), for which other evidence speaks, have details and share them."""
    least = np.where(has_details(pairs, rows, params), params.min_detail_similarity, np.inf)
    return thumbnails.same_details(pairs, least, min_layout=params.min_layout_similarity, max_zoom=params.max_detail_zoom)[0]


def has_details(pairs: np.ndarray, rows: Rows, params: DeduplicateParams) -> np.ndarray:
    """Which (m,) bool of the pairs (m, 2) are of pictures large enough."""
    enough: np.ndarray = rows.sides[pairs].min(axis=1) >= params.min_small_side
    return enough


def uncontradicted(copies: Copies, thumbnails: Thumbnails, rows: Rows, params: DeduplicateParams) -> Copies:
    """Those copies by layout that are too small for details, or share them: a frame, black corners or words make a layout, too."""
    keep = ~has_details(copies.pairs, rows, params) | share_details(copies.pairs, thumbnails, rows, params)
    return Copies(copies.pairs[keep], copies.similarities[keep])


def find_leaks(
    rows: Rows, suspects: np.ndarray, thumbnails: Thumbnails, evaluation: CleanPictures, params: DeduplicateParams
) -> np.ndarray:
    """Rows that hold the bytes of a clean picture, or look like one."""
    same = np.array([digest in evaluation.digests for digest in rows.digests], bool)
    pictures = evaluation.thumbnails[suspects[:, 1]]
    similarity = picture_similarity(thumbnails.of(suspects[:, 0]), pictures, max_zoom=params.max_zoom)
    alike = suspects[similarity >= params.min_copy_similarity, 0]
    return np.flatnonzero(same | np.isin(rows.first, alike))


def duplicate_table(
    rows: Rows, copies: dict[str, Copies], labels: np.ndarray, splits: np.ndarray, is_leak: np.ndarray, n_folds: int, seed: int
) -> pa.Table:
    """One row per sample."""
    names = [rows.ids[label] for label in labels]
    columns = {
        "sample_id": rows.ids,
        "crawl": rows.crawls,
        "duplicate_group": names,
        "near_duplicate_score": 1 - nearest_copy(len(labels), copies.values()),
        "is_leak": is_leak,
        "split": splits.tolist(),
        "fold": assign_fold(names, n_folds, seed),
    }
    return pa.table(columns).select(DUPLICATES.schema.names).cast(DUPLICATES.schema)


def pair_table(rows: Rows, copies: dict[str, Copies], vectors: Path) -> pa.Table:
    """One row per pair and evidence."""
    embeddings = np.load(vectors, mmap_mode="r")
    parts = [PAIRS.schema.empty_table()]
    for evidence, found in copies.items():
        earlier, later = found.pairs[:, 0], found.pairs[:, 1]
        similarity = found.similarities if evidence == "exact" else pair_similarities(embeddings, found.pairs)
        columns = {
            "sample_id": pa.array([rows.ids[row] for row in later], pa.string()),
            "other_id": pa.array([rows.ids[row] for row in earlier], pa.string()),
            "crawl": pa.array([rows.crawls[row] for row in later], pa.string()),
            "evidence": pa.array([evidence] * len(later), pa.string()),
            "similarity": similarity,
        }
        parts.append(pa.table(columns).select(PAIRS.schema.names).cast(PAIRS.schema))
    return pa.concat_tables(parts)


def summary(copies: dict[str, Copies], labels: np.ndarray, splits: np.ndarray, is_leak: np.ndarray) -> Metrics:
    """Counts for the metrics file."""
    sizes = np.unique(labels, return_counts=True)[1]
    metrics = {
        "samples": len(labels),
        "groups": len(sizes),
        "copies": len(labels) - len(sizes),
        "largest_group": int(sizes.max(initial=0)),
        "leaks": int(is_leak.sum()),
        "pairs": {evidence: len(found.pairs) for evidence, found in copies.items()},
        "splits": {name: int((splits == name).sum()) for name in Shares.model_fields},
    }
    log.info("deduplicate: %d samples, %d copies, %d leaks", metrics["samples"], metrics["copies"], metrics["leaks"])
    return metrics


if __name__ == "__main__":
    main(deduplicate)
